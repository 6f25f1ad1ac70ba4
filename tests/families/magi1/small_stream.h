// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// Streams of a small MAGI-1 network with random weights, from noise to latents.
#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>

#include "engine/families/magi1/sampler.h"
#include "engine/processor.h"
#include "tests/check.h"
#include "tests/networks/magi_dit/random_network.h"

namespace mc::test {

using magi1::Sampler;
using magi1::SamplerSettings;

constexpr int CHUNK = 6; // latent frames

// large: as 24B. guided: not distilled, for three branches.
struct StreamModel {
    const int height, width; // latent pixels
    TemporaryFolder folder;
    model::MagiDitConfig config;
    std::unique_ptr<magi_dit::Network> network;
    at::Generator generator = at::make_generator<at::CPUGeneratorImpl>(5);
    std::shared_ptr<const magi_dit::Text> caption, none;
    std::vector<at::Tensor> noise;

    StreamModel(int height, int width, bool large = false, bool guided = false,
                Precision precision = Precision::FLOAT32)
        : height(height), width(width), config(small_magi_dit(large, false)) {
        config.distilled = !guided;
        write_safetensors(folder / "model.safetensors", random_tensors(config));
        const auto tensors = model::open_magi_dit(folder.path, config);
        network = std::make_unique<magi_dit::Network>(Weights(*tensors, at::kCPU), config, precision);
        caption = network->text(at::randn({7, config.text_width}, generator));
        none = network->text(at::randn({3, config.text_width}, generator));
        for (int c = 0; c < 16; c++)
            noise.push_back(at::randn({config.latent_channels(), CHUNK, height, width}, generator));
    }
};

inline SamplerSettings stream(const StreamModel& model, int steps = 16, int64_t chunks = 13) {
    SamplerSettings s;
    s.stages = {steps, 4, 0, chunks, {5, 4, 3, 2}, 1};
    s.times = magi1::flow_times(steps);
    s.clean_t = 0.9999f;
    s.distilled = model.config.distilled;
    if (model.config.distilled)
        s.copy_above = 0.3;
    else
        s.guides = {{0, 1.5, 7.5}, {0.1, 1.25, 5}, {0.3, 1, 0}};
    return s;
}

struct Result {
    std::vector<at::Tensor> chunks;
    sampler::ChunkCount count;
    int64_t most_held = 0;
    std::vector<int64_t> copies; // rows with one
};

struct Run {
    bool plain = false;
    int64_t rows = -1;            // all
    at::Tensor prefix;            // [C, given frames, h, w]
    cache::Policy* policy = nullptr; // in place of that of the settings
    Trace trace = {};
};

inline Result run(StreamModel& model, SamplerSettings settings, Run how = {}) {
    magi_dit::Passes passes(*model.network, {CHUNK, model.height, model.width, Sampler::at_once(settings)}, how.plain);
    const auto policy = cache::make_policy(settings.cache);
    Sampler sampler(
        passes, CHUNK, settings,
        {[&](int64_t) { return std::vector{static_cast<const magi_dit::Text*>(model.caption.get())}; },
         model.none.get()},
        how.policy ? *how.policy : *policy,
        [&](int64_t chunk) { return model.noise[size_t(chunk) % model.noise.size()]; }, how.prefix);
    Result result;
    sampler::Timing timing;
    while (!sampler.done() && how.rows-- != 0) {
        sampler.step({}, how.trace, timing, [&](const sampler::Turn& turn) {
            if (turn.turn.kind == sampler::ChunkTurn::Kind::COPY) result.copies.push_back(turn.row);
        });
        result.most_held = std::max(result.most_held, sampler.keys().held());
        while (auto chunk = sampler.take()) {
            CHECK_EQ(chunk->chunk, int64_t(result.chunks.size()) + settings.stages.given);
            result.chunks.push_back(chunk->latents);
        }
    }
    result.count = sampler.count();
    return result;
}

inline double largest(const Result& a, const Result& b) {
    double most = a.chunks.size() == b.chunks.size() ? 0 : INFINITY;
    for (size_t c = 0; c < std::min(a.chunks.size(), b.chunks.size()); c++) {
        CHECK(a.chunks[c].isfinite().all().item<bool>());
        most = std::max(most, (a.chunks[c] - b.chunks[c]).abs().max().item<double>());
    }
    return most;
}

// The same without a page being used again comes out. held: most pages at once, or one less between two rows.
inline Result compare(StreamModel& model, SamplerSettings settings, int64_t held, const Run& how = {}) {
    const Result one = run(model, settings, how);
    settings.forgets = false;
    const Result other = run(model, settings, how);
    const int64_t chunks = *settings.stages.chunks - settings.stages.given;
    CHECK_EQ(int64_t(one.chunks.size()), chunks);
    CHECK_NEAR(largest(one, other), 0, 1e-6);
    CHECK(one.most_held <= held && one.most_held + 1 >= held);
    CHECK(other.most_held >= *settings.stages.chunks - 1);
    CHECK_EQ(one.count.turns, chunks * settings.stages.steps * (settings.guides.empty() ? 1 : 3));
    return one;
}

inline cache::MotionCacheByStepsSettings by_steps(double chunk, double token) {
    cache::MotionCacheByStepsSettings s;
    s.warmup = 2;
    s.coarse_steps = 4;
    s.threshold = chunk;
    s.token_threshold = token;
    return s;
}

inline cache::FlowCacheSettings flow(double threshold = 0.03) {
    cache::FlowCacheSettings s;
    s.threshold = threshold;
    s.forced_first = 2;
    s.forced_last = 0;
    s.whole_ends = true;
    return s;
}

} // namespace mc::test
