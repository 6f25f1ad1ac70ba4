// SPDX-License-Identifier: LGPL-2.1-or-later
// Models of the published sizes run: a forward of the 1.3B in a small picture, a layer of the 14B. Their files are
// generated: published names, shapes and types, in holes of the file but for the head of every tensor, which is
// random. What must come out is what the plain forward makes of the same files.
#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <random>
#include <unistd.h>

#include "engine/networks/wan_dit/wan_dit_files.h"
#include "engine/networks/wan_dit/text_context.h"
#include "engine/networks/wan_dit/transformer.h"
#include "engine/session/memory.h"
#include "tests/check.h"
#include "tests/model/published.h"

using namespace mc;
using namespace mc::test;
using wan_dit::Transformer;
using wan_dit::Window;

// Random bfloat16 numbers of about `scale` at the head of every tensor of a safetensors file.
static void sprinkle(const std::string& path) {
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    uint64_t length = 0;
    file.read(reinterpret_cast<char*>(&length), 8);
    std::string text(length, ' ');
    file.read(text.data(), length);
    std::mt19937 generator(3);
    const nlohmann::json header = nlohmann::json::parse(text);
    for (const auto& [name, entry] : header.items()) {
        if (name == "__metadata__") continue;
        bool bf16 = entry["dtype"] == "BF16";
        uint64_t begin = entry["data_offsets"][0], end = entry["data_offsets"][1];
        size_t count = std::min<size_t>((end - begin) / (bf16 ? 2 : 4), 1 << 14);
        double scale = entry["shape"].size() > 1 ? 0.05 : 0.5;
        std::normal_distribution<float> normal(0, scale);
        std::string bytes;
        for (size_t i = 0; i < count; i++) {
            float value = normal(generator);
            char raw[4];
            std::memcpy(raw, &value, 4);
            bf16 ? bytes.append(raw + 2, 2) : bytes.append(raw, 4);
        }
        file.seekp(8 + length + begin);
        file.write(bytes.data(), bytes.size());
    }
}

static void forward_of(PublishedTransformer published, int64_t memory) {
    if (session::free_memory() < memory)
        SKIP("needs " + std::to_string(memory >> 30) + " GiB of free memory");
    c10::InferenceMode guard;
    TemporaryFolder folder;
    write_diffusers_folder(folder.path, published);
    std::string path = folder.path + "/transformer";
    for (const auto& file : std::filesystem::directory_iterator(path))
        if (file.path().extension() == ".safetensors") sprinkle(file.path());

    model::TransformerConfig config;
    auto tensors = model::open_transformer(path, config);
    CHECK_EQ(config.width, published.width);
    CHECK_EQ(config.layers, published.layers);
    CHECK_EQ(tensors->all().size(), published.tensors);
    Transformer t(Weights(*tensors, at::kCPU), config, Precision::BFLOAT16);

    Window::Shape shape{2, 4, 6, 1, Attention::CAUSAL, 24};
    at::Generator generator = at::make_generator<at::CPUGeneratorImpl>(7);
    at::Tensor latents = at::randn({16, 2, 4, 6}, generator);
    auto text = t.text_context(at::randn({5, config.text_width}, generator));
    Window window(t, shape);
    at::Tensor fast = window.forward(latents, {999, 500}, *text).clone();
    window.use_plain(true);
    at::Tensor plain = window.forward(latents, {999, 500}, *text).clone();
    CHECK(at::isfinite(fast).all().item<bool>());
    CHECK(plain.std().item<double>() > 1e-3);
    CHECK_NEAR(((fast - plain).norm() / plain.norm()).item<double>(), 0, 0.03); // of bfloat16's rounding
}

TEST(forward_of_the_1_3B) {
    forward_of(DF_1_3B_540P, int64_t(8) << 30);
}

TEST(layer_of_the_14B) {
    PublishedTransformer one = DF_14B_540P;
    one.tensors -= 27 * (one.layers - 1);
    one.layers = 1;
    forward_of(one, int64_t(6) << 30);
}

int main(int argc, char** argv) {
    return mc::test::run_tests(argc, argv);
}
