// SPDX-License-Identifier: LGPL-2.1-or-later
// A cache whose settings change while a window is made.
#include "engine/cache/changing_policy.h"

#include <functional>

#include "engine/error.h"
#include "tests/cache/driver.h"
#include "tests/check.h"

using namespace mc;
using namespace mc::test;

namespace {

constexpr WindowShape SHAPE{5, 2, 3, 2, 8, 16}; // a chunk begins every second row
constexpr int LAG = 2;

// Whether a chunk's first step is of a warm-up or of a first row is the same to it.
std::string text_of(const Recorded& d) {
    const char kind = letter(d.kind) == 'w' ? 'W' : letter(d.kind);
    std::string text =
        std::to_string(d.row) + "/" + std::to_string(d.branch) + ":" + kind + (d.forced ? "!" : " ");
    text += std::to_string(d.distance) + " " + std::to_string(d.accumulated);
    for (float sum : d.after) text += " " + std::to_string(sum);
    for (uint8_t due : d.computed) text += due ? "x" : "_";
    return text;
}

// What is decided about each chunk: [chunk], a line per decision. before_row: called before each.
std::vector<std::string> run(Policy& policy, const std::function<void(int row)>& before_row = {}) {
    std::vector<std::string> told(size_t(SHAPE.chunks));
    policy.observe([&](const Decision& d) { told.at(size_t(d.chunk)) += text_of(recorded(d)) + "\n"; });
    policy.begin_window(SHAPE);
    for (int row = 0; row < SHAPE.rows; row++) {
        if (before_row) before_row(row);
        std::vector<std::vector<FrameDistance>> distances;
        std::vector<ChunkStep> steps;
        distances.reserve(size_t(SHAPE.chunks));
        for (int chunk = 0; chunk < SHAPE.chunks; chunk++) {
            const int step = row - LAG * chunk;
            if (step < 0 || step >= SHAPE.steps) continue;
            distances.push_back(
                moved(step ? 0.01 * (1 + (7 * chunk + 3 * step) % 5) : 0, step ? SHAPE.chunk_frames : 0));
            steps.push_back({chunk, step, distances.back(), 1 - step / 8., 1 - (step + 1) / 8.});
        }
        for (int branch = 0; branch < 2; branch++) {
            CHECK_EQ(policy.decide(row, branch, steps).size(), steps.size());
            for (const ChunkStep& s : steps) {
                if (!policy.wants_motion(branch, s.chunk)) continue;
                std::vector<float> change;
                for (int t = 0; t < 6; t++) change.push_back(float(0.1 * ((t + s.chunk + s.step) % 4)));
                policy.motion(branch, s.chunk, change, s.chunk > 0);
                CHECK(!policy.weights(branch, s.chunk).empty());
            }
        }
        const int done = row - SHAPE.steps + 1;
        if (done >= 0 && done % LAG == 0 && done / LAG < SHAPE.chunks) policy.finished(done / LAG);
    }
    return told;
}

// Few steps of warm-up and a threshold that is reached in some steps and in others not.
AnySettings lively(AnySettings settings, double threshold) {
    mc::CacheFields request;
    if (settings.kind() != CacheKind::NONE) request.threshold = threshold, request.warmup = 1;
    return with_request(settings, request);
}

} // namespace

TEST(changed_settings_count_from_a_chunk_on_and_those_that_had_begun_keep_theirs) {
    for (const AnySettings& first : all_policies())
        for (const AnySettings& second : all_policies())
            for (int from : {1, 3}) {
                const AnySettings before = lively(first, 0.05), after = lively(second, 0.09);
                const auto told_before = run(*make_policy(before)), told_after = run(*make_policy(after));
                ChangingPolicy policy(before);
                const auto told = run(policy, [&](int row) {
                    if (row == LAG * from) policy.change(from, after);
                });
                for (int chunk = 0; chunk < SHAPE.chunks; chunk++) {
                    const bool changed = chunk >= from;
                    // One that decides about all chunks of a row decides about those that are its own.
                    if (!(changed ? after : before).decides_rows() || chunk + SHAPE.steps / LAG <= from)
                        CHECK_EQ(told[size_t(chunk)], (changed ? told_after : told_before)[size_t(chunk)]);
                    else
                        CHECK(!told[size_t(chunk)].empty());
                }
                if (before.kind() != after.kind()) CHECK(told_before.back() != told_after.back());
            }
}

// TeaCache has one sum for all chunks of a row: those that had begun and those that begin later have one each.
TEST(what_decides_about_rows_decides_about_each_part_by_itself) {
    TeaCacheSettings never, always;
    never.threshold = 1e6, always.threshold = 1e-6;
    never.forced_first = always.forced_first = 2, never.forced_last = always.forced_last = 0;
    ChangingPolicy policy{AnySettings(never)};
    std::vector<std::string> kinds(2);
    policy.observe([&](const Decision& d) { kinds[size_t(d.chunk)] += letter(d.kind); });
    policy.begin_window({2, 1, 1, 1, 8, 12});
    const auto distance = moved(0.1, 1);
    for (int row = 0; row < 12; row++) {
        if (row == 4) policy.change(1, AnySettings(always));
        std::vector<ChunkStep> steps;
        for (int chunk = 0; chunk < 2; chunk++)
            if (const int step = row - 4 * chunk; step >= 0 && step < 8)
                steps.push_back(
                    {chunk, step,
                     step ? std::span<const FrameDistance>(distance) : std::span<const FrameDistance>()});
        policy.decide(row, 0, steps);
    }
    CHECK_EQ(kinds[0], "WW......");
    CHECK_EQ(kinds[1], "WWWWWWWW");
}

TEST(the_last_change_before_a_chunk_begins_counts_and_the_next_window_begins_with_it) {
    const auto with = [](double threshold) {
        FlowCacheSettings s;
        s.threshold = threshold, s.forced_first = 1, s.forced_last = 0;
        return AnySettings(s);
    };
    ChangingPolicy policy(with(1e-6));
    std::string kinds;
    policy.observe([&](const Decision& d) { kinds += letter(d.kind); });
    const auto window = [&] {
        kinds.clear();
        policy.begin_window({1, 1, 1, 1, 4, 4});
        const auto distance = moved(0.1, 1);
        for (int step = 0; step < 4; step++) {
            const ChunkStep one{
                0, step, step ? std::span<const FrameDistance>(distance) : std::span<const FrameDistance>()};
            policy.decide(step, 0, {&one, 1});
        }
        return kinds;
    };
    CHECK_EQ(window(), "WWWW");
    policy.change(1, with(1e6)); // behind this window's last chunk
    policy.change(1, NoCache());
    policy.change(1, with(0.25));
    CHECK_EQ(window(), "W..W");
    CHECK_ERROR(policy.change(0, with(-1)), MC_ERROR_SETTINGS, "cache-threshold is -1");
    CHECK_EQ(window(), "W..W");
}

// A prefix is looked at for the first chunk that is generated, whose policy may be newer than the window's.
TEST(motion_of_a_prefix_is_measured_for_any_part) {
    ChangingPolicy policy{AnySettings(FlowCacheSettings{})};
    policy.begin_window(SHAPE);
    CHECK(!policy.wants_prefix_motion());
    policy.change(1, AnySettings(MotionCacheSettings{}));
    CHECK(policy.wants_prefix_motion());
}

// A stream that slides has one window without end: what is over is forgotten.
TEST(parts_whose_chunks_are_finished_go) {
    MotionCacheByStepsSettings s;
    ChangingPolicy policy{AnySettings(s)};
    policy.begin_window({UNLIMITED, 1, 1, 1, 4, UNLIMITED});
    int reported = 0;
    policy.observe([&](const Decision&) { reported++; });
    for (int chunk = 0; chunk < 1000; chunk++) {
        policy.change(chunk, AnySettings(s));
        for (int step = 0; step < 2; step++) {
            const auto distance = moved(0.1, 1);
            const ChunkStep one{chunk, step,
                                step ? std::span<const FrameDistance>(distance)
                                     : std::span<const FrameDistance>()};
            policy.decide(2 * chunk + step, 0, {&one, 1});
        }
        policy.finished(chunk);
        CHECK(policy.parts() <= 1);
    }
    CHECK_EQ(reported, 2000);
}

// What is kept of a chunk, and the memory for it, do not change.
TEST(only_settings_that_fit_what_was_laid_out_can_come) {
    MotionCacheSettings begun, solver;
    solver.reuse = CacheReuse::SOLVER;
    check_change(begun, FlowCacheSettings());
    check_change(begun, NoCache());
    check_change(NoCache(), NoCache());
    check_change(solver, NoCache());
    CHECK_ERROR(check_change(NoCache(), begun), MC_ERROR_SETTINGS, "nothing is cached");
    CHECK_ERROR(check_change(begun, solver), MC_ERROR_SETTINGS, "cache-reuse would be solver");
    TeaCacheSettings tea;
    tea.embedding = Embedding::E;
    CHECK_ERROR(check_change(begun, tea), MC_ERROR_SETTINGS, "other distances");
}
