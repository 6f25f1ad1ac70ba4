// SPDX-License-Identifier: LGPL-2.1-or-later
// Forms of a MAGI-1 stream that no recorded case has: sizes, windows, tables, prefixes and settings of caches beside
// each other. Each as the plain forward makes it, and pages that are used again change nothing.
#include "tests/families/magi1/small_stream.h"

#include "engine/error.h"

using namespace mc;
using namespace mc::test;

namespace {

constexpr int HEIGHT = 4, WIDTH = 6;
struct Model : StreamModel {
    explicit Model(bool large = false, bool guided = false, Precision precision = Precision::FLOAT32)
        : StreamModel(HEIGHT, WIDTH, large, guided, precision) {}
};

at::Tensor given(StreamModel& model, int64_t frames) {
    return at::randn({model.config.latent_channels(), frames, HEIGHT, WIDTH}, model.generator);
}

SamplerSettings cached(const StreamModel& model, const cache::AnySettings& cache, int64_t chunks = 7) {
    SamplerSettings s = stream(model, 16, chunks);
    s.passes_finished = false;
    s.copy_above.reset();
    s.cache = cache;
    return s;
}

// Of the fast and of the plain forward.
void check_twins(StreamModel& model, const SamplerSettings& settings, const Run& how = {}, double allowed = 2e-3) {
    Run plain = how;
    plain.plain = true;
    CHECK_NEAR(largest(run(model, settings, how), run(model, settings, plain)), 0, allowed);
}

// The same actions in turn, from a chunk's first step on; of tokens every third.
struct InTurn final : cache::Policy {
    explicit InTurn(std::vector<cache::Action> actions) : actions(std::move(actions)) {}
    void begin_window(const cache::WindowShape& shape) override { tokens = shape.chunk_frames * shape.frame_tokens; }
    void extend_window(int) override {}
    std::vector<cache::Plan> decide(int, int, std::span<const cache::ChunkStep> chunks) override {
        std::vector<cache::Plan> plans;
        for (const cache::ChunkStep& c : chunks) {
            plans.push_back({actions[size_t(c.step) % actions.size()], {}});
            if (plans.back().action == cache::Action::PARTIAL)
                for (int t = 0; t < tokens; t += 3) plans.back().tokens.push_back(t);
        }
        return plans;
    }
    const std::vector<cache::Action> actions;
    int tokens = 0;
};

} // namespace

TEST(the_large_network_is_guided_by_three_branches) {
    Model model(true, true);
    const SamplerSettings s = stream(model, 8, 6);
    check_twins(model, s);
    const Result result = compare(model, s, 1);
    CHECK_EQ(result.count.whole, 3 * 8 * 6);
    CHECK(result.copies.empty()); // which is of distilled networks
}

TEST(the_large_network_mixes_copies_in_under_caches) {
    Model model(true);
    SamplerSettings s = cached(model, by_steps(0.03, 0.03));
    s.copy_above = 0.3;
    InTurn policy({cache::Action::WHOLE, cache::Action::PARTIAL, cache::Action::REUSED});
    const Result result = compare(model, s, 5, {.policy = &policy});
    CHECK(result.count.partial == 7 * 5 && result.count.reused == 7 * 5 && !result.copies.empty());
    check_twins(model, s, {.policy = &policy});
}

// Where the oldest chunk takes over what it had there is nothing to mix into.
TEST(a_chunk_that_is_reused_gets_no_copy) {
    Model model;
    SamplerSettings s = cached(model, flow(), 5);
    s.copy_above = 0.3;
    InTurn policy({cache::Action::WHOLE, cache::Action::REUSED});
    const Result result = run(model, s, {.policy = &policy});
    std::vector<int64_t> rows;
    for (int64_t r = 0; r < *s.stages.rows(); r++) {
        const magi1::StageRow row = s.stages.row(r);
        const int step = s.stages.step(row, row.begin);
        if (s.times.t[size_t(step)] > 0.3 && step % 2 == 0) rows.push_back(r);
    }
    CHECK(result.copies == rows && rows.size() == 5 * 2);
    check_twins(model, s, {.policy = &policy});
    s.faults.copy_into_first = true; // as published; in the phase by chunks the same
    CHECK(run(model, s, {.policy = &policy}).copies == rows);
}

TEST(windows_and_tables_of_any_length) {
    Model model;
    const struct {
        int steps, window;
        std::vector<int> table;
        int clean;
    } forms[]{{9, 3, {3, 1, 2}, -1}, {10, 5, {6, 2}, 2}, {16, 8, {2}, 1}, {32, 4, {5, 4, 3, 2}, 1}, {12, 1, {2, 3}, 1}};
    for (const auto& form : forms) {
        SamplerSettings s = stream(model, form.steps, 10);
        s.stages.window = form.window;
        s.stages.noise2clean = form.table;
        s.stages.clean_range = form.clean;
        s.clean_t = 0.97f;
        s.copy_above = 0.2;
        s.copy_share = 0.5;
        s.stages.check();
        const Result uncached = compare(model, s, s.stages.most_kept(false));
        CHECK(!uncached.copies.empty());
        for (const cache::AnySettings& cache :
             {cache::AnySettings(flow()), cache::AnySettings(by_steps(0.02, 0.02))}) {
            SamplerSettings with = s;
            with.passes_finished = false;
            with.copy_above.reset();
            with.cache = cache;
            compare(model, with, s.stages.most_kept(true));
        }
        SamplerSettings other = s;
        other.clean_t = 1;
        CHECK(largest(uncached, run(model, other)) > 1e-4);
        other = s;
        other.copy_share = 0.3;
        CHECK(largest(uncached, run(model, other)) > 1e-4);
    }
}

TEST(a_stream_goes_on_from_what_is_given) {
    for (bool guided : {false, true}) {
        Model model(false, guided);
        for (int64_t frames : {1, 6, 8, 13}) {
            SamplerSettings s = stream(model, 8, 8);
            s.stages.given = frames / CHUNK;
            const Run how{.prefix = given(model, frames)};
            compare(model, s, s.stages.most_kept(false), how);
            if (frames == 8) check_twins(model, s, how);
        }
    }
}

TEST(caches_go_on_from_what_is_given) {
    Model model;
    cache::TeaCacheSettings tea;
    tea.threshold = 0.1;
    tea.forced_first = 2;
    for (int64_t frames : {1, 6, 13})
        for (const cache::AnySettings& cache : {cache::AnySettings(flow()), cache::AnySettings(tea),
                                                cache::AnySettings(by_steps(0.03, 0.03))}) {
            SamplerSettings s = cached(model, cache, 9);
            s.stages.given = frames / CHUNK;
            const Result result = compare(model, s, s.stages.most_kept(true), {.prefix = given(model, frames)});
            CHECK(result.count.reused + result.count.partial > 10);
        }
}

TEST(settings_of_motioncache_in_a_stream) {
    Model model;
    const auto made = [&](auto change) {
        cache::MotionCacheByStepsSettings m = by_steps(0.03, 0.03);
        change(m);
        return compare(model, cached(model, m), 5);
    };
    using M = cache::MotionCacheByStepsSettings;
    const Result usual = made([](M&) {});
    const auto differs = [&](const char* what, const Result& result) {
        const double by = largest(usual, result);
        CHECK(result.count.partial > 0 && by > 1e-4);
        std::printf("     %s: %lld of %lld turns in part, %g away\n", what,
                    static_cast<long long>(result.count.partial), static_cast<long long>(result.count.turns),
                    by);
    };
    differs("whole_when_chunk_starts", made([](M& m) { m.whole_when_chunk_starts = true; }));
    differs("distance", made([](M& m) { m.distance = CacheDistance::TOKEN; })); // neither vote nor cap
    // Weights go on changing after the first step, and the sums that they make lie on the other side of a threshold now
    // and then: at `usual`'s by chance never.
    const Result each = made([](M& m) { m.token_threshold = 0.02; });
    const Result once = made([](M& m) { m.token_threshold = 0.02, m.weights_once = true; });
    CHECK(once.count.partial > 0 && largest(each, once) > 1e-4);
    differs("vote", made([](M& m) { m.vote = 1. / CHUNK; }));
    differs("max_reuse", made([](M& m) { m.max_reuse = 0.2; }));
    // Where the published code fails: no step of warm-up before the phase by chunks, a cap that lets none be reused.
    const Result cold = made([](M& m) { m.warmup = 0; });
    CHECK(cold.count.whole >= 7); // the first step of each, at least
    const Result none = made([](M& m) { m.max_reuse = 0, m.coarse_steps = 0; });
    CHECK_EQ(none.count.reused + none.count.partial, 0);
    // Every row in which a chunk starts, also with some given in front.
    M whole = by_steps(0.03, 0.03);
    whole.whole_when_chunk_starts = true;
    SamplerSettings s = cached(model, whole, 9);
    s.stages.given = 2;
    compare(model, s, s.stages.most_kept(true), {.prefix = given(model, 12)});
}

// As the published code measures in bfloat16.
TEST(caches_in_bfloat16) {
    Model model(false, false, Precision::BFLOAT16);
    cache::TeaCacheSettings tea;
    tea.threshold = 0.1;
    tea.forced_first = 2;
    for (const cache::AnySettings& cache :
         {cache::AnySettings(flow()), cache::AnySettings(tea), cache::AnySettings(by_steps(0.03, 0.03))})
        for (bool measured : {false, true}) {
            SamplerSettings s = cached(model, cache);
            s.bfloat16_distances = measured;
            const Result result = compare(model, s, 5);
            CHECK(result.count.reused > 0);
        }
    SamplerSettings s = cached(model, flow(), 12);
    s.stages.noise2clean.clear();
    s.compression = {2, {}};
    CHECK_EQ(run(model, s).chunks.size(), size_t(12));
}

TEST(compression_in_other_forms) {
    Model model;
    using Queries = magi1::CompressionSettings::Queries;
    const struct {
        int window;
        int64_t frames; // given
        Queries queries;
        bool copies, passes, cached;
    } forms[]{{4, 1, Queries::FRAME, false, false, true},  {4, 13, Queries::CHUNK, true, false, true},
              {4, 0, Queries::TOKENS, true, false, true},  {2, 13, Queries::FRAME, true, false, true},
              {2, 6, Queries::TOKENS, false, false, true}, {2, 0, Queries::CHUNK, false, false, true},
              {4, 0, Queries::FRAME, false, true, true},   {4, 6, Queries::FRAME, false, true, true},
              {4, 0, Queries::FRAME, true, true, false},   {2, 13, Queries::CHUNK, true, true, false}};
    for (const auto& form : forms) {
        SamplerSettings s = stream(model, 8, 9);
        s.stages.window = form.window;
        s.stages.given = form.frames / CHUNK;
        s.stages.noise2clean.clear();
        s.passes_finished = form.passes;
        if (!form.copies) s.copy_above.reset();
        if (form.cached) s.cache = flow();
        s.compression = {1, {.queries = form.queries}};
        Run how;
        if (form.frames) how.prefix = given(model, form.frames);
        const Result result = run(model, s, how);
        CHECK_EQ(int64_t(result.chunks.size()), 9 - s.stages.given);
        // Beside those on their way, of which without a cache nothing lasts, what is kept and what is to be compressed.
        CHECK(result.most_held >= 2 && result.most_held <= (form.cached ? form.window : 0) + 2);
        for (const at::Tensor& chunk : result.chunks) CHECK(chunk.isfinite().all().item<bool>());
        if (!form.cached) check_twins(model, s, how);
        // Less is seen than without, where there is more than one chunk's worth to see.
        SamplerSettings other = s;
        other.compression.reset();
        CHECK(largest(result, run(model, other, how)) > 1e-4);
        other.compression = {20, s.compression->how}; // never reached: nothing is lost
        CHECK_NEAR(largest(run(model, other, how), [&] {
                       other.compression.reset();
                       return run(model, other, how);
                   }()), 0, 1e-6);
    }
}

// Of three branches the one whose keys last is compressed.
TEST(a_guided_stream_without_ranges_is_compressed) {
    Model model(false, true);
    SamplerSettings s = stream(model, 8, 9);
    s.stages.noise2clean.clear();
    s.compression = {2, {}};
    check_twins(model, s);
    s.stages.chunks.reset();
    const Result result = run(model, s, {.rows = 40});
    CHECK_EQ(result.most_held, 3);
    CHECK_EQ(result.chunks.size(), size_t(17));
}

int main(int argc, char** argv) {
    const c10::InferenceMode inference;
    set_thread_count(2);
    return test::run_tests(argc, argv);
}
