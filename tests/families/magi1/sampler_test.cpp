// SPDX-License-Identifier: LGPL-2.1-or-later
// MAGI-1's sampler in its steady state, which no recorded case shows: a chunk enters as another leaves, and its keys go
// where those of a forgotten chunk were. The same stream without any page being used again must come out.
#include "tests/families/magi1/small_stream.h"

using namespace mc;
using namespace mc::test;

namespace {

constexpr int HEIGHT = 8, WIDTH = 12;
struct Model : StreamModel {
    Model() : StreamModel(HEIGHT, WIDTH) {}
};

// Whole, none, every third token, none, whole, and so on.
struct ByTurns final : cache::Policy {
    void begin_window(const cache::WindowShape& shape) override { tokens = shape.chunk_frames * shape.frame_tokens; }
    void extend_window(int) override {}
    std::vector<cache::Plan> decide(int, int, std::span<const cache::ChunkStep> chunks) override {
        std::vector<cache::Plan> plans;
        for (const cache::ChunkStep& c : chunks) {
            cache::Plan plan;
            if (c.step % 4 == 2) {
                plan.action = cache::Action::PARTIAL;
                for (int t = 0; t < tokens; t += 3) plan.tokens.push_back(t);
            } else if (c.step % 4) {
                plan.action = cache::Action::REUSED;
            }
            plans.push_back(plan);
        }
        return plans;
    }
    int tokens = 0;
};

} // namespace

// 12 steps are of two sizes, and each covers another span of flow time: what solver goes on with is the velocity,
// over the span at hand, where repeat makes the same change once more.
TEST(reuse_follows_the_solver_over_unequal_steps) {
    Model model;
    for (CacheReuse reuse : {CacheReuse::SOLVER, CacheReuse::REPEAT}) {
        SamplerSettings s = stream(model, 12, 2);
        s.stages.window = 2;
        s.stages.noise2clean = {3, 2, 1};
        s.passes_finished = false;
        s.copy_above.reset();
        cache::FlowCacheSettings repeating = flow();
        repeating.reuse = reuse;
        s.cache = repeating;
        ByTurns policy;
        magi_dit::Passes passes(*model.network, {CHUNK, HEIGHT, WIDTH, Sampler::at_once(s)});
        Sampler sampler(
            passes, CHUNK, s,
            {[&](int64_t) { return std::vector{static_cast<const magi_dit::Text*>(model.caption.get())}; },
             model.none.get()},
            policy, [&](int64_t chunk) { return model.noise[size_t(chunk)]; });
        at::Tensor x[2] = {model.noise[0], model.noise[1]}, kept[2];
        int checked = 0;
        double apart = 0; // of both rules
        while (!sampler.done()) {
            std::vector<at::Tensor> after;
            std::vector<sampler::Turn> turns;
            sampler::Timing timing;
            sampler.step({}, [&](const std::string& name, const at::Tensor& value) {
                if (name == "steps.latents") after = value.split(CHUNK, 1);
            }, timing, [&](const sampler::Turn& turn) { turns.push_back(turn); });
            CHECK_EQ(after.size(), turns.size());
            for (size_t i = 0; i < turns.size(); i++) {
                const size_t c = size_t(turns[i].turn.chunk), step = size_t(turns[i].turn.step);
                const double dt = s.times.t[step + 1] - s.times.t[step];
                const at::Tensor fresh = turns[i].velocity;
                at::Tensor rate = kept[c]; // velocity, or change
                if (step % 4 == 0) {
                    rate = reuse == CacheReuse::SOLVER ? fresh : fresh * dt;
                } else if (step % 4 == 2) {
                    at::Tensor computed = at::zeros({CHUNK * HEIGHT * WIDTH / 4}, at::kBool);
                    for (int64_t t = 0; t < computed.numel(); t += 3) computed[t] = true;
                    computed = computed.view({1, CHUNK, HEIGHT / 2, 1, WIDTH / 2, 1})
                                   .expand({1, CHUNK, HEIGHT / 2, 2, WIDTH / 2, 2})
                                   .reshape({1, CHUNK, HEIGHT, WIDTH});
                    rate = at::where(computed, reuse == CacheReuse::SOLVER ? fresh : fresh * dt, rate);
                } else {
                    CHECK(!fresh.defined());
                }
                const double span = reuse == CacheReuse::SOLVER ? dt : 1;
                CHECK_NEAR((after[i] - (x[c] + rate * span)).abs().max().item<double>(), 0, 1e-5);
                if (step % 4 == 1) { // the other rule would have gone elsewhere
                    const double before = s.times.t[step] - s.times.t[step - 1];
                    const double other = reuse == CacheReuse::SOLVER ? before : dt / before;
                    apart = std::max(apart, (rate * (span - other)).abs().max().item<double>());
                    checked++;
                }
                kept[c] = rate;
                x[c] = after[i];
            }
        }
        CHECK_EQ(checked, 6);
        CHECK(apart > 1e-3);
    }
}

TEST(uncached_stream_takes_pages_again) {
    Model model;
    const Result result = compare(model, stream(model, 8), 1);
    CHECK_EQ(result.most_held, 1);
    CHECK_EQ(result.count.whole, 13 * 8);
    CHECK_EQ(result.count.extra, 12); // every chunk but the last one passes once more
}

TEST(motioncache_stream_takes_pages_again) {
    Model model;
    SamplerSettings s = stream(model);
    s.passes_finished = false;
    for (bool copies : {false, true}) {
        s.copy_above = copies ? std::optional(0.3) : std::nullopt;
        s.cache = by_steps(0.03, 0.03);
        const Result result = compare(model, s, 5);
        CHECK_EQ(result.most_held, 5);
        CHECK(result.count.whole > 0);
        CHECK(result.count.partial > 20);
        CHECK(result.count.reused > 20);
    }
}

TEST(flowcache_stream_takes_pages_again) {
    Model model;
    SamplerSettings s = stream(model);
    s.passes_finished = false;
    s.copy_above.reset();
    s.cache = flow();
    const Result result = compare(model, s, 5);
    CHECK_EQ(result.most_held, 5);
    CHECK_EQ(result.count.partial, 0);
    CHECK(result.count.reused > 20);
}

TEST(teacache_stream_takes_pages_again) {
    Model model;
    SamplerSettings s = stream(model);
    s.passes_finished = false;
    cache::TeaCacheSettings tea;
    tea.threshold = 0.1;
    tea.forced_first = 2;
    for (bool whole : {false, true}) {
        tea.whole_when_chunk_starts = whole;
        s.cache = tea;
        const Result result = compare(model, s, 5);
        CHECK_EQ(result.most_held, 5);
        CHECK(result.count.reused > 20);
    }
}

// Chunks one by one with everything computed, and neither pass nor copy: nothing is left that a cache changes.
TEST(a_cache_that_never_reuses_changes_nothing) {
    Model model;
    SamplerSettings s = stream(model, 8);
    s.passes_finished = false;
    s.copy_above.reset();
    s.cache = flow(1e-9);
    const Result flowing = run(model, s);
    s.cache = by_steps(1e-9, 1e-9);
    CHECK_NEAR(largest(flowing, run(model, s)), 0, 1e-6);
    CHECK_EQ(flowing.count.reused, 0);
}

TEST(a_stream_without_end_holds_no_more_pages) {
    Model model;
    SamplerSettings s = stream(model, 8);
    s.stages.chunks.reset();
    const Result result = run(model, s, {.rows = 80});
    CHECK_EQ(result.most_held, 1); // those on their way are made anew in every row
    CHECK_EQ(result.chunks.size(), size_t(37));
    s.passes_finished = false;
    s.copy_above.reset();
    s.cache = by_steps(0.03, 0.03);
    CHECK_EQ(run(model, s, {.rows = 80}).most_held, 5);
}

// A compressed memory is bounded where every chunk may see all before it.
TEST(compression_bounds_a_memory_without_ranges) {
    Model model;
    SamplerSettings s = stream(model, 8, 12);
    s.stages.noise2clean.clear();
    s.passes_finished = false;
    s.copy_above.reset();
    s.cache = flow();
    s.compression = {2, {}};
    const Result result = run(model, s);
    CHECK_EQ(result.chunks.size(), size_t(12));
    CHECK(result.most_held <= 6);
    for (const at::Tensor& chunk : result.chunks) CHECK(chunk.isfinite().all().item<bool>());
}

// With 2 rows a stage, chunk c is finished after stage c + 3. Without a cache its keys last from stage c + 4 on: those
// of chunks 0 and 1 become one chunk's at the end of stage 5, and so on in 6 and 7; stage 8 is the last. With one they
// last from its first step on, and are compressed until the last chunk has entered, in stage 5.
TEST(no_keys_are_compressed_where_no_chunk_follows) {
    Model model;
    SamplerSettings s = stream(model, 8, 6);
    s.stages.noise2clean.clear();
    s.copy_above.reset();
    s.compression = {1, {}};
    int compressions = 0;
    Run how;
    how.trace = [&](const std::string& name, const at::Tensor&) { compressions += name.ends_with(".layer0.indices"); };
    CHECK_EQ(run(model, s, how).chunks.size(), size_t(6));
    CHECK_EQ(compressions, 3);
    compressions = 0;
    s.passes_finished = false;
    s.cache = flow();
    CHECK_EQ(run(model, s, how).chunks.size(), size_t(6));
    CHECK_EQ(compressions, 1);
}

int main(int argc, char** argv) {
    const c10::InferenceMode inference;
    set_thread_count(2);
    return test::run_tests(argc, argv);
}
