// SPDX-License-Identifier: LGPL-2.1-or-later
// MAGI-1's sampler with each cache, on random weights of the published 4.5B sizes (width 3072, 24 heads of queries and
// 8 of keys, feed-forward 12288), distilled. Prints one line of JSON: of each run what it computed and in which time.
//
//     motioncache-magi1-bench --run NAME:KEY=VALUE,... [--run ...] [--layers N] [--dtype float32|bfloat16]
//                             [--threads N] [--steps N] [--frames N] [--width N] [--height N] [--seed N]
//                             [--PROPERTY VALUE ...]
//
// PROPERTY and a run's keys: as motioncache-cache-bench. --layers: of the 34; default 1. From noise to latents: text
// encoder and VAE, which no cache changes, are left out; the caption is random rows too. How many tokens a cache
// computes here says nothing of trained weights; what computing them takes does.
#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>

#include <iostream>
#include <nlohmann/json.hpp>

#include "engine/error.h"
#include "engine/families/magi1/settings.h"
#include "engine/networks/magi_dit/magi_dit_files.h"
#include "engine/processor.h"
#include "engine/sampler/noise.h"
#include "tools/bench/arguments.h"
#include "tools/bench/random_weights.h"

using namespace mc;

namespace {

struct Bench {
    const magi_dit::Network network;
    const std::shared_ptr<const magi_dit::Text> caption, none;

    Bench(const model::Tensors& tensors, const model::MagiDitConfig& config, Precision precision)
        : network(Weights(tensors, at::kCPU), config, precision),
          caption(network.text(at::randn({50, config.text_width}))),
          none(network.text(network.null_caption().narrow(0, 0, magi1::NULL_ROWS))) {}

    // rows: of the schedule; unset: all.
    nlohmann::json run(const session::Request& request, std::optional<int64_t> rows = {}) const {
        model::magi1::Runtime runtime; // as published, but for the weights' kind
        runtime.noise2clean = {5, 4, 3, 2};
        runtime.clean_range = 1;
        runtime.distilled = true;
        const magi1::VideoSettings s = magi1::complete(request, {runtime, network.config()});
        const int64_t C = network.config().latent_channels(), h = s.height / 8, w = s.width / 8;
        const auto noise = [&](int64_t chunk) {
            at::Tensor all = at::empty({C, magi1::CHUNK, h, w}, at::kFloat);
            sampler::normal_noise({s.seed, sampler::Purpose::INITIAL, 0, uint32_t(chunk), 0},
                                  all.mutable_data_ptr<float>(), size_t(all.numel()));
            return all;
        };
        magi_dit::Passes passes(network, {magi1::CHUNK, int(h), int(w), magi1::Sampler::at_once(s.sampler)});
        const auto policy = cache::make_policy(s.sampler.cache);
        magi1::Sampler sampler(passes, magi1::CHUNK, s.sampler,
                               {[&](int64_t) { return std::vector<const magi_dit::Text*>{caption.get()}; }, none.get()},
                               *policy, noise);
        sampler::Timing timing;
        while (!sampler.done() && (!rows || sampler.row() < *rows)) {
            sampler.step({}, {}, timing);
            while (sampler.take()) {
            }
        }
        const sampler::ChunkCount& count = sampler.count();
        return {{"steps", s.sampler.stages.steps},
                {"chunks", *s.sampler.stages.chunks},
                {"width", s.width},
                {"height", s.height},
                {"flop", passes.flop()},
                {"seconds", timing.transformer + timing.cache + timing.schedule},
                {"transformer", timing.transformer},
                {"cache", timing.cache},
                {"scheduler", timing.schedule},
                {"turns", count.turns},
                {"turns_whole", count.whole},
                {"turns_partial", count.partial},
                {"turns_reused", count.reused},
                {"passes_extra", count.extra},
                {"tokens_computed", count.tokens_computed},
                {"tokens", count.tokens_computed + count.tokens_reused},
                {"bytes_keys_values", sampler.keys().bytes()}};
    }
};

} // namespace

int main(int argc, char** argv) {
    bench::Arguments given;
    std::vector<bench::NamedSettings> runs;
    int layers = 1;
    try {
        bench::read_arguments(argc, argv, given,
                              {{"--layers", [&](const std::string& value) { layers = bench::whole_number(value); }},
                               {"--run", [&](const std::string& value) { runs.push_back(bench::parse_run(value)); }}});
        if (runs.empty()) throw Error(MC_ERROR_SETTINGS, "A --run is needed.");
        if (layers < 1 || layers > 34) throw Error(MC_ERROR_SETTINGS, "--layers must be from 1 to 34.");
        if (given.options.threads) set_thread_count(given.options.threads);
        c10::InferenceMode guard;
        session::Request base = given.request;
        if (!base.prompt) base.prompt = "random rows";
        if (!base.seed) base.seed = 0;
        const model::MagiDitConfig config = bench::magi_4_5b(layers);
        const Precision precision = given.options.precision.value_or(Precision::FLOAT32);
        const Bench bench(*bench::random_weights(model::magi_dit_tensors(config), config.width), config, precision);
        nlohmann::json out{{"weights", "random"},
                           {"sizes", "MAGI-1 4.5B"},
                           {"layers", layers},
                           {"bytes_weights", bench.network.bytes()},
                           {"dtype", precision == Precision::FLOAT32 ? "float32" : "bfloat16"},
                           {"threads", thread_count()},
                           {"runs", nlohmann::json::array()}};
        for (size_t i = 0; i < runs.size(); i++) {
            session::Request request = base;
            runs[i].set_in(request);
            if (i == 0) bench.run(request, 2); // what a process does for the first time is no run's cost
            nlohmann::json run = bench.run(request);
            run["name"] = runs[i].name;
            run["settings"] = runs[i].keys;
            std::cerr << runs[i].name << ": " << run["seconds"] << " s\n";
            out["runs"].push_back(run);
        }
        std::cout << out << std::endl;
    } catch (const std::exception& e) {
        std::cerr << e.what() << "\n";
        return 1;
    }
}
