// SPDX-License-Identifier: LGPL-2.1-or-later
// What a step costs of which only some tokens are computed: time(f) / time(1) for shares f of a chunk. Prints one line
// of JSON:
//
//     motioncache-sparse-bench MODEL|1.3B [--layers N] [--dtype float32|bfloat16] [--threads N] [--rounds N]
//                              [--device cuda:N] [--size FRAMESxROWSxCOLUMNS, of latent pixels]
//
// MODEL: a chunk of 3 latent frames at 160x96 behind 12 others, as in the demo model's default video. 1.3B: random
// weights of the published sizes (width 1536, 12 heads, feed-forward 8960; --layers of the 30, default 4), a chunk of 5
// latent frames at 256x160 behind 15 others. Whole positions are computed, in both guidance branches at once as the
// sampler runs them; rounds go through all shares in turn, and the median is taken.
#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <iostream>
#include <nlohmann/json.hpp>

#include "engine/cuda/load_cuda.h"
#include "engine/device.h"
#include "engine/error.h"
#include "engine/networks/wan_dit/transformer.h"
#include "engine/networks/wan_dit/wan_dit_files.h"
#include "engine/processor.h"
#include "tools/bench/arguments.h"

using namespace mc;
using transformer::ChunkWork;
using transformer::Transformer;
using transformer::Window;

namespace {

// Random numbers in memory, posing as a file.
class RandomFile final : public model::DataFile {
  public:
    explicit RandomFile(at::Tensor numbers)
        : DataFile("random weights", numbers.nbytes()), numbers_(numbers) {}
    void read(uint64_t at, void* into, size_t bytes) const override {
        std::memcpy(into, static_cast<const std::byte*>(numbers_.const_data_ptr()) + at, bytes);
    }

  private:
    at::Tensor numbers_;
};

// Weights of a transformer of given sizes: small random numbers, the same in every layer.
class RandomTensors : public model::Tensors {
  public:
    explicit RandomTensors(const model::TransformerConfig& c) {
        origin = "random weights";
        const int64_t D = c.width, patch = 4;
        numbers_ = std::make_shared<RandomFile>(at::randn({std::max(c.ffn, 6 * D) * D}) *
                                                (0.5 / std::sqrt(double(D))));
        put("patch_embedding.weight", {D, c.in_channels, 1, 2, 2});
        put("patch_embedding.bias", {D});
        linear("condition_embedder.text_embedder.linear_1", D, c.text_width);
        linear("condition_embedder.text_embedder.linear_2", D, D);
        linear("condition_embedder.time_embedder.linear_1", D, c.frequencies);
        linear("condition_embedder.time_embedder.linear_2", D, D);
        linear("condition_embedder.time_proj", 6 * D, D);
        put("scale_shift_table", {1, 2, D});
        linear("proj_out", patch * c.out_channels, D);
        for (int64_t i = 0; i < c.layers; i++) {
            const std::string b = "blocks." + std::to_string(i) + ".";
            put(b + "scale_shift_table", {1, 6, D});
            for (const char* a : {"attn1.", "attn2."}) {
                for (const char* l : {"to_q", "to_k", "to_v", "to_out.0"}) linear(b + a + l, D, D);
                put(b + a + "norm_q.weight", {D});
                put(b + a + "norm_k.weight", {D});
            }
            put(b + "norm2.weight", {D});
            put(b + "norm2.bias", {D});
            linear(b + "ffn.net.0.proj", c.ffn, D);
            linear(b + "ffn.net.2", D, c.ffn);
        }
    }

  private:
    void linear(const std::string& name, int64_t out, int64_t in) {
        put(name + ".weight", {out, in});
        put(name + ".bias", {out});
    }
    void put(const std::string& name, const std::vector<int64_t>& shape) {
        tensors_[name] = {model::DType::F32, shape, *model::byte_count(model::DType::F32, shape), numbers_};
    }
    std::shared_ptr<const RandomFile> numbers_;
};

model::TransformerConfig published_1_3b(int layers) {
    model::TransformerConfig c;
    c.width = 1536, c.heads = 12, c.layers = layers, c.ffn = 8960;
    c.in_channels = c.out_channels = 16;
    c.text_width = 4096;
    return c;
}

// The first `share` of the positions, in each frame of the chunk.
cache::Plan plan_of(double share, int frames, int64_t frame_tokens) {
    const int64_t positions = std::llround(share * double(frame_tokens));
    if (positions == frame_tokens) return {};
    cache::Plan plan{cache::Action::TOKENS, {}};
    for (int f = 0; f < frames; f++)
        for (int64_t p = 0; p < positions; p++)
            plan.tokens.push_back(
                int32_t(f * frame_tokens + p * frame_tokens / positions)); // spread over the picture
    return plan;
}

nlohmann::json measure(const Transformer& t, Window::Shape shape, int rounds, at::Device device) {
    c10::InferenceMode guard;
    shape.branches = 2;
    shape.chunks_at_once = shape.frames / shape.chunk;
    shape.remembers = true;
    Window window(t, shape);
    const at::Tensor x =
        at::randn({t.config().in_channels, shape.frames, shape.height, shape.width}).to(device);
    const auto text = t.text_context(at::randn({20, t.config().text_width}));
    const transformer::TextContext* const texts[] = {text.get(), text.get()};
    const std::vector<int64_t> timesteps(shape.frames, 500);

    std::vector<ChunkWork> all;
    for (int b = 0; b < 2; b++)
        for (int c = 0; c < window.chunks(); c++) all.push_back({b, c, nullptr, true});
    window.forward(x, timesteps, texts, all); // keys, values and residuals are there

    std::vector<double> shares;
    for (int tenth = 1; tenth <= 10; tenth++) shares.push_back(tenth / 10.0);
    std::vector<cache::Plan> plans;
    for (double share : shares) plans.push_back(plan_of(share, shape.chunk, window.frame_tokens()));
    shares.push_back(0);
    plans.push_back({cache::Action::REUSE, {}});
    std::vector<std::vector<double>> seconds(shares.size());
    for (int round = -1; round < rounds; round++) // the first is for warming up
        for (size_t i = 0; i < shares.size(); i++) {
            const ChunkWork work[] = {{0, window.chunks() - 1, &plans[i], true},
                                      {1, window.chunks() - 1, &plans[i], true}};
            wait_for(device);
            const auto start = std::chrono::steady_clock::now();
            window.forward(x, timesteps, texts, work);
            window.wait();
            const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
            if (round >= 0) seconds[i].push_back(took.count());
        }
    nlohmann::json rows = nlohmann::json::array();
    auto median = [](std::vector<double> v) {
        std::nth_element(v.begin(), v.begin() + v.size() / 2, v.end());
        return v[v.size() / 2];
    };
    const double whole = median(seconds[9]);
    for (size_t i = 0; i < shares.size(); i++) {
        const int64_t tokens = plans[i].action == cache::Action::ALL ? shape.chunk * window.frame_tokens()
                                                                     : plans[i].tokens.size();
        const double share = double(tokens) / double(shape.chunk * window.frame_tokens());
        rows.push_back({{"share", share},
                        {"tokens", tokens},
                        {"seconds", median(seconds[i])},
                        {"ratio", median(seconds[i]) / whole},
                        {"bar", 1.10 * share + 0.03}});
    }
    return rows;
}

} // namespace

int main(int argc, char** argv) {
    bench::Arguments given;
    std::string size;
    int layers = 4, rounds = 9;
    at::Device device = at::kCPU;
    try {
        bench::read_arguments(argc, argv, given,
                              {{"--layers", [&](const std::string& value) { layers = bench::whole_number(value); }},
                               {"--rounds", [&](const std::string& value) { rounds = bench::whole_number(value); }},
                               {"--device", [&](const std::string& value) { device = device_by_name(value); }},
                               {"--size", [&](const std::string& value) { size = value; }}},
                              false);
        const std::string& path = given.model;
        const Precision precision = given.options.precision.value_or(Precision::FLOAT32);
        if (given.options.threads) set_thread_count(given.options.threads);
        if (path.empty()) throw Error(MC_ERROR_SETTINGS, "Which model? Give its folder, or 1.3B.");
        const bool random = path == "1.3B";
        std::unique_ptr<model::Tensors> tensors;
        model::TransformerConfig config;
        if (random) {
            config = published_1_3b(layers);
            tensors = std::make_unique<RandomTensors>(config);
        } else {
            tensors = model::open_transformer(path + "/transformer", config);
        }
        const Transformer t(Weights(*tensors, device), config, precision);
        Window::Shape shape = random ? Window::Shape{20, 20, 32, 5, Attention::KV, 24}
                                           : Window::Shape{15, 12, 20, 3, Attention::KV, 24};
        if (!size.empty() && std::sscanf(size.c_str(), "%dx%dx%d", &shape.frames, &shape.height, &shape.width) != 3)
            throw Error(MC_ERROR_SETTINGS, "--size takes FRAMESxROWSxCOLUMNS, as in 25x68x120.");
        std::cout << nlohmann::json{{"model", path},
                                    {"device", device.str()},
                                    {"dtype", precision == Precision::BFLOAT16 ? "bfloat16" : "float32"},
                                    {"threads", thread_count()},
                                    {"layers", config.layers},
                                    {"frames", shape.frames},
                                    {"curve", measure(t, shape, rounds, device)}}
                  << std::endl;
    } catch (const std::exception& e) {
        std::cerr << e.what() << "\n";
        return 1;
    }
}
