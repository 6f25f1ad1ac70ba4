// SPDX-License-Identifier: LGPL-2.1-or-later
// What a step costs of which only some tokens are computed: time(f) / time(1) for shares f of a chunk; and a whole step
// against its matrix products and attention calls run alone. Prints one line of JSON:
//
//     motioncache-sparse-bench MODEL|1.3B|magi1-4.5B [--layers N] [--dtype float32|bfloat16] [--threads N] [--rounds N]
//                              [--alone N] [--device cuda:N] [--size FRAMESxROWSxCOLUMNS, of latent pixels]
//                              [--streamed N]
//
// MODEL: a chunk of 3 latent frames at 160x96 behind 12 others, as in the demo model's default video. 1.3B: random
// weights of the published sizes (width 1536, 12 heads, feed-forward 8960; --layers of the 30, default 4), a chunk of 5
// latent frames at 256x160 behind 15 others. magi1-4.5B: likewise (width 3072, 24 heads of queries and 8 of keys,
// feed-forward 12288; --layers of the 34), a chunk of 6 behind 18 others.
// In "alone", "library" is the matrix products' time by LibTorch's library.
// Whole positions are computed, of SkyReels-V2 in both guidance branches at once as the sampler runs them; rounds go
// through all shares in turn, and the median is taken; "first" is the round before them. On a device each round
// computes some positions more than the one before, as no two sparse steps of a video have as many: what a library
// makes ready for each new number shows. --alone: rounds of the second measurement, on the CPU; default
// none. --streamed: layers of SkyReels-V2 whose weights the host keeps, on a device.
#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <iostream>
#include <nlohmann/json.hpp>

#include "engine/cuda/load_cuda.h"
#include "engine/device.h"
#include "engine/error.h"
#include "engine/families/magi1/distances.h"
#include "engine/networks/magi_dit/magi_dit_files.h"
#include "engine/networks/magi_dit/passes.h"
#include "engine/networks/wan_dit/transformer.h"
#include "engine/networks/wan_dit/wan_dit_files.h"
#include "engine/processor.h"
#include "tools/bench/arguments.h"
#include "tools/bench/random_weights.h"
#include "tools/bench/run_alone.h"

using namespace mc;
using wan_dit::ChunkWork;
using wan_dit::Transformer;
using wan_dit::Window;

namespace {

// `share` of the positions and `more`, in each frame of the chunk.
cache::Plan plan_of(double share, int more, int frames, int64_t frame_tokens) {
    if (share == 1) return {};
    const int64_t positions =
        std::clamp<int64_t>(std::llround(share * double(frame_tokens)) + more, 1, frame_tokens - 1);
    cache::Plan plan{cache::Action::PARTIAL, {}};
    for (int f = 0; f < frames; f++)
        for (int64_t p = 0; p < positions; p++)
            plan.tokens.push_back(
                int32_t(f * frame_tokens + p * frame_tokens / positions)); // spread over the picture
    return plan;
}

// What is measured: one chunk behind others whose keys and values are there.
struct Subject {
    int chunk_frames;
    int64_t frame_tokens;
    kernels::Store store;
    std::function<void(const cache::Plan&)> step; // until it is done
    std::function<networks::CallCount()> calls;   // so far
};

template <typename T>
T median(std::vector<T> v) {
    std::nth_element(v.begin(), v.begin() + int64_t(v.size()) / 2, v.end());
    return v[v.size() / 2];
}

networks::CallCount calls_of(const Subject& subject, const cache::Plan& plan) {
    const networks::CallCount before = subject.calls();
    subject.step(plan);
    const networks::CallCount after = subject.calls();
    networks::CallCount made;
    for (const auto& [call, count] : after.counts()) {
        const auto was = before.counts().find(call);
        made.add(call, count - (was == before.counts().end() ? 0 : was->second));
    }
    return made;
}

// A whole step against its products and attention calls run by themselves.
nlohmann::json measure_alone(const Subject& subject, int rounds) {
    const networks::CallCount calls = calls_of(subject, {});
    std::vector<double> step, gemm, library, attention, ratio;
    for (int round = 0; round < rounds; round++) {
        const auto start = std::chrono::steady_clock::now();
        subject.step({});
        const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
        const bench::Alone alone = bench::run_alone(calls, subject.store, 1);
        step.push_back(took.count());
        gemm.push_back(alone.gemm), library.push_back(alone.library), attention.push_back(alone.attention);
        ratio.push_back(step.back() / (alone.gemm + alone.attention));
    }
    return {{"flop", calls.flop()},
            {"step", median(step)},
            {"gemm", median(gemm)},
            {"library", median(library)},
            {"attention", median(attention)},
            {"ratio", median(ratio)}};
}

nlohmann::json measure_shares(const Subject& subject, int rounds, bool others_each_round) {
    std::vector<double> shares;
    for (int tenth = 1; tenth <= 10; tenth++) shares.push_back(tenth / 10.0);
    shares.push_back(0);
    std::vector<std::vector<double>> seconds(shares.size());
    std::vector<double> first(shares.size());
    std::vector<std::vector<int64_t>> tokens(shares.size());
    const int64_t all = subject.chunk_frames * subject.frame_tokens;
    for (int round = -1; round < rounds; round++) // the first is for warming up
        for (size_t i = 0; i < shares.size(); i++) {
            const int more = others_each_round ? round - (rounds - 1) / 2 : 0;
            cache::Plan plan{cache::Action::REUSED, {}};
            if (shares[i] > 0) plan = plan_of(shares[i], more, subject.chunk_frames, subject.frame_tokens);
            const auto start = std::chrono::steady_clock::now();
            subject.step(plan);
            const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
            if (round < 0) {
                first[i] = took.count();
                continue;
            }
            seconds[i].push_back(took.count());
            tokens[i].push_back(plan.action == cache::Action::WHOLE ? all : int64_t(plan.tokens.size()));
        }
    nlohmann::json rows = nlohmann::json::array();
    const double whole = median(seconds[9]);
    for (size_t i = 0; i < shares.size(); i++) {
        const double share = double(median(tokens[i])) / double(all);
        rows.push_back({{"share", share},
                        {"tokens", median(tokens[i])},
                        {"first", first[i]},
                        {"seconds", median(seconds[i])},
                        {"ratio", median(seconds[i]) / whole},
                        {"bar", 1.10 * share + 0.03}});
    }
    return rows;
}

// Latent frames of a chunk and of all, rows and columns of latent pixels.
struct Size {
    int frames, height, width, chunk;
};

struct Options {
    int layers = 4, rounds = 9, alone = 0, streamed = 0;
    Precision precision = Precision::FLOAT32;
    at::Device device = at::kCPU;
    std::string size; // empty: the model's of this program
    Size size_or(Size size_of_model) const {
        Size s = size_of_model;
        if (!size.empty() && std::sscanf(size.c_str(), "%dx%dx%d", &s.frames, &s.height, &s.width) != 3)
            throw Error(MC_ERROR_SETTINGS, "--size takes FRAMESxROWSxCOLUMNS, as in 25x68x120.");
        if (s.frames < 1 || s.frames % s.chunk)
            throw Error(MC_ERROR_SETTINGS,
                        "--size has " + std::to_string(s.frames) + " frames but they must be chunks of " +
                            std::to_string(s.chunk) + ".");
        return s;
    }
};

nlohmann::json report(const Options& o, int64_t layers, const Size& size, const Subject& subject) {
    nlohmann::json out{{"device", o.device.str()},
                       {"dtype", o.precision == Precision::BFLOAT16 ? "bfloat16" : "float32"},
                       {"threads", thread_count()},
                       {"layers", layers},
                       {"streamed", o.streamed},
                       {"frames", size.frames},
                       {"rows", size.height},
                       {"columns", size.width}};
    out["curve"] = measure_shares(subject, o.rounds, !o.device.is_cpu());
    if (o.alone) out["alone"] = measure_alone(subject, o.alone);
    return out;
}

nlohmann::json measure_wan(const model::Tensors& tensors, const model::TransformerConfig& config,
                           const Options& o, Size size) {
    size = o.size_or(size);
    const Transformer t(Weights(tensors, o.device), config, o.precision, std::nullopt, false, o.streamed);
    Window::Shape shape{size.frames, size.height, size.width, size.chunk, Attention::KV, 24};
    shape.branches = 2;
    shape.chunks_at_once = shape.frames / shape.chunk;
    shape.remembers = true;
    Window window(t, shape);
    const at::Tensor x =
        at::randn({config.in_channels, shape.frames, shape.height, shape.width}).to(o.device);
    const auto text = t.text_context(at::randn({20, config.text_width}));
    const wan_dit::TextContext* const texts[] = {text.get(), text.get()};
    const std::vector<int64_t> timesteps(size_t(shape.frames), 500);

    std::vector<ChunkWork> all;
    for (int b = 0; b < 2; b++)
        for (int c = 0; c < window.chunks(); c++) all.push_back({b, c, nullptr, true});
    window.forward(x, timesteps, texts, all); // keys, values and residuals are there
    const auto step = [&](const cache::Plan& plan) {
        const ChunkWork work[] = {{0, window.chunks() - 1, &plan, true}, {1, window.chunks() - 1, &plan, true}};
        wait_for(o.device);
        window.forward(x, timesteps, texts, work);
        window.wait();
    };
    return report(o, config.layers, size,
                  {size.chunk, window.frame_tokens(), networks::store_for(o.precision, o.device), step,
                   [&] { return window.calls(); }});
}

nlohmann::json measure_magi(const Options& o) {
    const Size size = o.size_or({24, 20, 32, 6});
    const model::MagiDitConfig config = bench::magi_4_5b(o.layers);
    const auto tensors = bench::random_weights(model::magi_dit_tensors(config), config.width);
    const magi_dit::Network network(Weights(*tensors, o.device), config, o.precision);
    const int chunks = size.frames / size.chunk;
    magi_dit::Passes passes(network, {size.chunk, size.height, size.width, 1});
    networks::KeyStore keys = passes.key_store();
    const auto text = network.text(at::randn({20, config.text_width}));
    const std::vector<int64_t> sides{config.latent_channels(), size.chunk, size.height, size.width};
    const at::Tensor x = at::randn(sides).to(o.device), velocity = at::empty(sides).to(o.device);
    magi_dit::Work work{.x = x, .t = 0.5f, .step_size = 32, .text = {text.get()}};
    const auto run = [&] {
        wait_for(o.device);
        passes.forward({&work, 1}, keys);
        wait_for(o.device);
    };
    for (int c = 0; c < chunks; c++) { // keys and values are there
        work.page = keys.take();
        work.sees.push_back(work.page);
        work.position = c;
        run();
    }
    work.velocity = velocity;
    const at::Tensor before = passes.features(at::randn(sides).to(o.device));
    const auto step = [&](const cache::Plan& plan) {
        if (plan.action == cache::Action::REUSED) { // which does not get as far as the transformer
            magi1::distance(passes.features(x), before, false, false);
            return;
        }
        work.plan = &plan;
        run();
        work.plan = nullptr;
    };
    return report(o, config.layers, size,
                  {size.chunk, passes.frame_tokens(), keys.store(), step, [&] { return passes.calls(); }});
}

nlohmann::json measure(const std::string& path, const Options& o) {
    if (path == "magi1-4.5B") return measure_magi(o);
    if (path == "1.3B") {
        const model::TransformerConfig config = bench::wan_1_3b(o.layers);
        return measure_wan(*bench::random_weights(model::transformer_tensors(config), config.width), config, o,
                           {20, 20, 32, 5});
    }
    model::TransformerConfig config;
    const auto tensors = model::open_transformer(path + "/transformer", config);
    return measure_wan(*tensors, config, o, {15, 12, 20, 3});
}

} // namespace

int main(int argc, char** argv) {
    bench::Arguments given;
    Options o;
    try {
        bench::read_arguments(
            argc, argv, given,
            {{"--layers", [&](const std::string& value) { o.layers = bench::whole_number(value); }},
             {"--rounds", [&](const std::string& value) { o.rounds = bench::whole_number(value); }},
             {"--alone", [&](const std::string& value) { o.alone = bench::whole_number(value); }},
             {"--device", [&](const std::string& value) { o.device = device_by_name(value); }},
             {"--size", [&](const std::string& value) { o.size = value; }},
             {"--streamed", [&](const std::string& value) { o.streamed = bench::whole_number(value); }}},
            false);
        o.precision = given.options.precision.value_or(Precision::FLOAT32);
        if (given.options.threads) set_thread_count(given.options.threads);
        if (given.model.empty())
            throw Error(MC_ERROR_SETTINGS, "Which model? Give its folder, 1.3B or magi1-4.5B.");
        if (o.streamed && o.device.is_cpu())
            throw Error(MC_ERROR_SETTINGS, "--streamed needs a device that is not the CPU.");
        if (o.rounds < 1) throw Error(MC_ERROR_SETTINGS, "--rounds must be at least 1.");
        c10::InferenceMode guard;
        nlohmann::json out = measure(given.model, o);
        out["model"] = given.model;
        std::cout << out << std::endl;
    } catch (const std::exception& e) {
        std::cerr << e.what() << "\n";
        return 1;
    }
}
