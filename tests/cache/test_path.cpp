// SPDX-License-Identifier: LGPL-2.1-or-later
// Distances along a path: the same threshold with few steps and many.
#include <algorithm>
#include <limits>

#include "engine/cache/path.h"
#include "engine/error.h"
#include "tests/cache/driver.h"
#include "tests/check.h"

using namespace mc;
using namespace mc::test;

namespace {

// Half of the way lies above sigma 0.75.
Path bent() {
    return {{1, 0.75, 0}, {0, 0.5, 1}};
}

MotionCacheSettings along(const Path& path, double threshold) {
    MotionCacheSettings s;
    s.threshold = threshold;
    s.warmup = 0, s.coarse_updates = 99;
    s.vote.reset();
    s.min_ratio = 0;
    s.path = path;
    return s;
}

// Sigmas of a schedule of so many steps, shifted as time grids are.
std::vector<double> sigmas(int steps, double shift = 1) {
    std::vector<double> list;
    for (int i = 0; i < steps; i++) {
        const double s = 1 - double(i) / steps;
        list.push_back(shift * s / (1 + (shift - 1) * s));
    }
    return list;
}

// The steps that one chunk computes, and the longest gap between two of them or to the picture.
struct Walk {
    std::string kinds;
    double longest = 0;
};
Walk walk(const MotionCacheSettings& settings, const std::vector<double>& sigma,
          const WindowShape& shape = {1, 1, 4, 1, 1000, 1000}, int chunk = 0) {
    const std::unique_ptr<Policy> policy = make_policy(settings);
    policy->begin_window(shape);
    Walk w;
    double last = 0;
    const std::vector<FrameDistance> unread(size_t(shape.chunk_frames), FrameDistance{1e9, 1});
    for (int i = 0; i < int(sigma.size()); i++) {
        const double next = i + 1 < int(sigma.size()) ? sigma[size_t(i) + 1] : 0;
        const ChunkStep at{chunk, i, i ? std::span<const FrameDistance>(unread) : std::span<const FrameDistance>(),
                           sigma[size_t(i)], next};
        const bool computed = policy->decide(i, 0, {&at, 1}).front().action == Action::WHOLE;
        w.kinds += computed ? 'W' : '.';
        if (computed) last = settings.path.at(sigma[size_t(i)]);
        w.longest = std::max(w.longest, settings.path.at(next) - last);
    }
    return w;
}

} // namespace

TEST(path_between_its_points_is_straight) {
    const Path path = bent();
    for (auto [sigma, length] : {std::pair{1.0, 0.0}, {0.875, 0.25}, {0.75, 0.5}, {0.375, 0.75}, {0.0, 1.0}})
        CHECK_NEAR(path.at(sigma), length, 1e-15);
    CHECK(is_path(path) && is_path({}) && path != Path{});
}

TEST(what_is_no_path_is_refused) {
    const double nan = std::numeric_limits<double>::quiet_NaN();
    for (const Path& bad : {Path{{1}, {0}}, Path{{1, 0}, {0}}, Path{{1, 0}, {0, 0.9}}, Path{{1, 0}, {0.1, 1}},
                            Path{{0.9, 0}, {0, 1}}, Path{{1, 0.1}, {0, 1}}, Path{{1, 0.5, 0.5, 0}, {0, 0.1, 0.2, 1}},
                            Path{{1, 0.5, 0}, {0, 1.1, 1}}, Path{{1, nan, 0}, {0, 0.5, 1}},
                            Path{{1, 0.5, 0}, {0, nan, 1}}}) {
        CHECK(!is_path(bad));
        CHECK_ERROR(make_policy(along(bad, 0.1)), MC_ERROR_SETTINGS, "must go from sigma 1 to sigma 0");
    }
}

TEST(no_gap_is_longer_than_the_threshold_unless_a_step_is) {
    for (int steps : {4, 6, 8, 12, 20, 30, 50, 100, 200, 1000})
        for (double shift : {1.0, 3.0, 8.0})
            for (double threshold : {0.05, 0.11, 0.25}) {
                const std::vector<double> sigma = sigmas(steps, shift);
                const Walk w = walk(along(bent(), threshold), sigma);
                double longest_step = 0;
                for (size_t i = 0; i < sigma.size(); i++)
                    longest_step = std::max(longest_step, bent().at(i + 1 < sigma.size() ? sigma[i + 1] : 0) -
                                                              bent().at(sigma[i]));
                CHECK(w.longest <= std::max(threshold * (1 + 1e-4), longest_step + 1e-9));
                if (longest_step < threshold / 8) { // and it is made use of: so many gaps and hardly more
                    const double computed = double(std::count(w.kinds.begin(), w.kinds.end(), 'W'));
                    CHECK(computed < 1.2 / threshold + 2);
                }
            }
}

TEST(steps_that_are_longer_than_half_the_threshold_are_all_computed) {
    const Path straight{{1, 0}, {0, 1}};
    CHECK_EQ(walk(along(straight, 0.3), sigmas(6)).kinds, "WWWWWW");    // two steps are 0.33
    CHECK_EQ(walk(along(straight, 0.25), sigmas(8)).kinds, "W.W.W.W."); // two fill it exactly
    CHECK_EQ(walk(along(straight, 0.25), sigmas(16)).kinds, "W...W...W...W...");
}

TEST(time_embeddings_have_no_say_along_a_path) {
    // walk() gives every step an enormous distance.
    CHECK_EQ(walk(along(Path{{1, 0}, {0, 1}}, 0.5), sigmas(8)).kinds, "W...W...");
    MotionCacheSettings late = along(Path{{1, 0}, {0, 1}}, 0.5);
    late.noise_power = 2; // a knob of the user's counts as ever
    CHECK_EQ(walk(late, sigmas(8)).kinds, "W.......");
}

TEST(the_first_frames_are_those_that_a_window_generates) {
    MotionCacheSettings s = along(Path{{1, 0}, {0, 1}}, 0.5);
    s.first_share = 0.01;
    s.first_frames = 3;
    const std::string all = "WWWWWWWW", few = "W...W...";
    auto kinds = [&](int frames, int chunk, int given) {
        return walk(s, sigmas(8), {9, frames, 4, 1, 999, 999, given}, chunk).kinds;
    };
    CHECK_EQ(kinds(3, 0, 0), all);
    CHECK_EQ(kinds(3, 1, 0), few);
    // However many chunks they are.
    for (int chunk = 0; chunk < 5; chunk++) CHECK_EQ(kinds(1, chunk, 0), chunk < 3 ? all : few);
    for (int chunk = 0; chunk < 3; chunk++) CHECK_EQ(kinds(2, chunk, 0), chunk < 2 ? all : few);
    s.first_share = 0.25;
    for (int chunk = 0; chunk < 4; chunk++) CHECK_EQ(kinds(1, chunk, 0), chunk < 3 ? all : few); // 0.125
    s.first_share = 0.01;
    CHECK_EQ(kinds(5, 1, 0), few);
    // With a share of 0 they are computed as a whole, however short the steps are.
    for (int frames : {1, 2, 3})
        for (int chunk = 0; chunk < 4; chunk++) {
            s.first_share = 0;
            const std::string fine = walk(s, sigmas(900), {9, frames, 4, 1, 999, 999, 0}, chunk).kinds;
            const auto computed = std::count(fine.begin(), fine.end(), 'W');
            CHECK(chunk * frames < 3 ? computed == 900 : computed < 10);
        }
    s.first_share = 0.01;
    // Chunks that are given are not among them.
    CHECK_EQ(kinds(3, 1, 3), all);
    CHECK_EQ(kinds(3, 2, 3), few);
    CHECK_EQ(kinds(1, 5, 3), all);
    CHECK_EQ(kinds(1, 6, 3), few);
}

TEST(more_chunks_than_it_holds_for_make_the_threshold_smaller) {
    MotionCacheSettings s = along(Path{{1, 0}, {0, 1}}, 0.5);
    s.chunks = 4;
    auto kinds = [&](int chunks) { return walk(s, sigmas(8), {chunks, 1, 4, 1, 999, 999}, 1).kinds; };
    CHECK_EQ(kinds(2), "W...W...");
    CHECK_EQ(kinds(4), "W...W...");
    CHECK_EQ(kinds(16), "W.W.W.W."); // 0.25
    // Of the whole video, if that is told: windows hand errors on as well.
    CHECK_EQ(walk(s, sigmas(8), {4, 1, 4, 1, 999, 999, 0, 16}, 1).kinds, "W.W.W.W.");
    s.chunks = 0;
    CHECK_EQ(kinds(16), "W...W...");
}

TEST(still_tokens_may_wait_longer_along_a_path_too) {
    MotionCacheSettings s = along(Path{{1, 0}, {0, 1}}, 0.25);
    s.coarse_updates = 0;
    s.weights = CacheWeights::MAX_RESCALE;
    s.weight_floor = 0.5;
    const std::unique_ptr<Policy> policy = make_policy(s);
    policy->begin_window({1, 1, 4, 1, 1000, 1000});
    const std::vector<double> sigma = sigmas(16);
    const std::vector<FrameDistance> unread(1, FrameDistance{0, 1});
    std::vector<int> computed(4);
    for (int i = 0; i < 16; i++) {
        const ChunkStep at{0, i, i ? std::span<const FrameDistance>(unread) : std::span<const FrameDistance>(),
                           sigma[size_t(i)], i < 15 ? sigma[size_t(i) + 1] : 0};
        const Plan plan = policy->decide(i, 0, {&at, 1}).front();
        for (int t = 0; t < 4; t++)
            computed[size_t(t)] +=
                plan.action == Action::WHOLE || std::count(plan.tokens.begin(), plan.tokens.end(), t) > 0;
        policy->motion(0, 0, std::vector<float>{0, 0, 1, 1}, true);
    }
    CHECK(computed == (std::vector<int>{2, 2, 4, 4}));
}
