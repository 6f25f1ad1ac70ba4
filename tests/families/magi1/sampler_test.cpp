// SPDX-License-Identifier: LGPL-2.1-or-later
// MAGI-1's sampler in its steady state, which no recorded case shows: a chunk enters as another leaves, and its keys go
// where those of a forgotten chunk were. The same stream without any page being used again must come out.
#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>

#include "engine/families/magi1/sampler.h"
#include "engine/processor.h"
#include "tests/check.h"
#include "tests/networks/magi_dit/random_network.h"

using namespace mc;
using magi1::Sampler;
using magi1::SamplerSettings;

namespace {

constexpr int CHUNK = 6, HEIGHT = 8, WIDTH = 12;

struct Model {
    test::TemporaryFolder folder;
    model::MagiDitConfig config = test::small_magi_dit(false, false);
    std::unique_ptr<magi_dit::Network> network;
    at::Generator generator = at::make_generator<at::CPUGeneratorImpl>(5);
    std::shared_ptr<const magi_dit::Text> caption, none;
    std::vector<at::Tensor> noise;

    Model() {
        test::write_safetensors(folder / "model.safetensors", test::random_tensors(config));
        const auto tensors = model::open_magi_dit(folder.path, config);
        network = std::make_unique<magi_dit::Network>(Weights(*tensors, at::kCPU), config, Precision::FLOAT32);
        caption = network->text(at::randn({7, config.text_width}, generator));
        none = network->text(at::randn({3, config.text_width}, generator));
        for (int c = 0; c < 16; c++)
            noise.push_back(at::randn({config.latent_channels(), CHUNK, HEIGHT, WIDTH}, generator));
    }
};

SamplerSettings stream(const Model& model, int steps = 16, int64_t chunks = 13) {
    SamplerSettings s;
    s.stages = {steps, 4, 0, chunks, {5, 4, 3, 2}, 1};
    s.times = magi1::time_table(steps);
    s.clean_t = 0.9999f;
    s.distilled = model.config.distilled;
    s.copy_above = 0.3;
    return s;
}

struct Result {
    std::vector<at::Tensor> chunks;
    sampler::ChunkCount count;
    int64_t most_held = 0;
};

Result run(Model& model, SamplerSettings settings, int64_t rows = -1) {
    magi_dit::Passes passes(*model.network, {CHUNK, HEIGHT, WIDTH, Sampler::at_once(settings)});
    const auto policy = cache::make_policy(settings.cache);
    Sampler sampler(passes, CHUNK, settings,
                    {[&](int64_t) { return std::vector{static_cast<const magi_dit::Text*>(model.caption.get())}; },
                     model.none.get()},
                    *policy, [&](int64_t chunk) { return model.noise[static_cast<size_t>(chunk) % model.noise.size()]; });
    Result result;
    magi1::Timing timing;
    while (!sampler.done() && rows-- != 0) {
        sampler.step({}, {}, timing);
        result.most_held = std::max(result.most_held, sampler.keys().held());
        while (auto chunk = sampler.take()) {
            CHECK_EQ(chunk->chunk, static_cast<int64_t>(result.chunks.size()));
            result.chunks.push_back(chunk->latents);
        }
    }
    result.count = sampler.count();
    return result;
}

// The same without a page being used again.
Result compare(Model& model, SamplerSettings settings, int64_t held) {
    const Result one = run(model, settings);
    settings.forgets = false;
    const Result other = run(model, settings);
    const int64_t chunks = *settings.stages.chunks;
    CHECK_EQ(static_cast<int64_t>(one.chunks.size()), chunks);
    CHECK_EQ(one.chunks.size(), other.chunks.size());
    for (size_t c = 0; c < std::min(one.chunks.size(), other.chunks.size()); c++) {
        CHECK(one.chunks[c].isfinite().all().item<bool>());
        CHECK_NEAR((one.chunks[c] - other.chunks[c]).abs().max().item<double>(), 0, 1e-6);
    }
    CHECK_EQ(one.most_held, held);
    CHECK(other.most_held >= chunks - 1);
    CHECK_EQ(one.count.turns, chunks * settings.stages.steps);
    return one;
}

cache::Settings by_steps(double chunk, double token) {
    cache::MotionCacheByStepsSettings s;
    s.warmup = 2;
    s.coarse_steps = 4;
    s.threshold = chunk;
    s.token_threshold = token;
    return s;
}

double largest(const Result& a, const Result& b) {
    double most = 0;
    for (size_t c = 0; c < a.chunks.size(); c++)
        most = std::max(most, (a.chunks[c] - b.chunks[c]).abs().max().item<double>());
    return most;
}

} // namespace

TEST(uncached_stream_takes_pages_again) {
    Model model;
    const Result result = compare(model, stream(model, 8), 1);
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
        CHECK(result.count.whole > 0);
        CHECK(result.count.sparse > 20);
        CHECK(result.count.reused > 20);
    }
}

TEST(flowcache_stream_takes_pages_again) {
    Model model;
    SamplerSettings s = stream(model);
    s.passes_finished = false;
    s.copy_above.reset();
    cache::FlowCacheSettings flow;
    flow.threshold = 0.03;
    flow.forced_first = 2;
    flow.forced_last = 0;
    flow.whole_ends = true;
    s.cache = flow;
    const Result result = compare(model, s, 5);
    CHECK_EQ(result.count.sparse, 0);
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
        CHECK(result.count.reused > 20);
    }
}

// Chunks one by one with everything computed, and neither pass nor copy: nothing is left that a cache changes.
TEST(a_cache_that_never_reuses_changes_nothing) {
    Model model;
    SamplerSettings s = stream(model, 8);
    s.passes_finished = false;
    s.copy_above.reset();
    cache::FlowCacheSettings flow;
    flow.threshold = 1e-9;
    flow.forced_last = 0;
    s.cache = flow;
    const Result flowing = run(model, s);
    s.cache = by_steps(1e-9, 1e-9);
    CHECK_NEAR(largest(flowing, run(model, s)), 0, 1e-6);
    CHECK_EQ(flowing.count.reused, 0);
}

TEST(a_stream_without_end_holds_no_more_pages) {
    Model model;
    SamplerSettings s = stream(model, 8);
    s.stages.chunks.reset();
    const Result result = run(model, s, 80);
    CHECK_EQ(result.most_held, 1); // those on their way are made anew in every row
    CHECK_EQ(result.chunks.size(), size_t(37));
    s.passes_finished = false;
    s.copy_above.reset();
    s.cache = by_steps(0.03, 0.03);
    CHECK_EQ(run(model, s, 80).most_held, 5);
}

// A compressed memory is bounded where every chunk may see all before it.
TEST(compression_bounds_a_memory_without_ranges) {
    Model model;
    SamplerSettings s = stream(model, 8, 12);
    s.stages.noise2clean.clear();
    s.passes_finished = false;
    s.copy_above.reset();
    cache::FlowCacheSettings flow;
    flow.threshold = 0.03;
    flow.forced_last = 0;
    flow.whole_ends = true;
    s.cache = flow;
    s.compression = {6, {}};
    const Result result = run(model, s);
    CHECK_EQ(result.chunks.size(), size_t(12));
    CHECK(result.most_held <= 6);
    for (const at::Tensor& chunk : result.chunks) CHECK(chunk.isfinite().all().item<bool>());
}

int main(int argc, char** argv) {
    const c10::InferenceMode inference;
    set_thread_count(2);
    return test::run_tests(argc, argv);
}
