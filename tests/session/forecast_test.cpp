// SPDX-License-Identifier: LGPL-2.1-or-later
// What is told of a model of a published size before a weight is read, from folders of random weights in both layouts.
// forecast_test ROOT RANDOM_WEIGHTS: the second is the program that writes them.
#include <ATen/ATen.h>
#include <cstdlib>
#include <filesystem>

#include "engine/session/family.h"
#include "tests/model/published.h"
#include "tests/session/demo.h"

using namespace mc;
using namespace mc::session;
namespace fs = std::filesystem;

static std::string writer;

static int64_t numbers_in(const std::vector<test::PublishedTensor>& tensors) {
    int64_t sum = 0;
    for (const test::PublishedTensor& t : tensors) {
        int64_t count = 1;
        for (int64_t side : t.shape) count *= side;
        sum += count;
    }
    return sum;
}

TEST(published_sizes_are_told_in_both_layouts) {
    std::string folder = fs::temp_directory_path() / "motioncache-random-XXXXXX";
    CHECK(::mkdtemp(folder.data()) != nullptr);
    for (auto [name, published, layers] : {std::tuple("1.3B", test::DF_1_3B_540P, 2),
                                           {"14B", test::DF_14B_540P, 1},
                                           {"14B-720P", test::DF_14B_720P, 1}}) {
        published.layers = layers;
        std::optional<MemoryForecast> first;
        for (const std::string layout : {"diffusers", "original"}) {
            const std::string model = folder + "/" + name + "-" + layout;
            const std::string command = "MC_SOURCE_ROOT='" + test::root + "' '" + writer +
                                        "' --sparse --text-layers 2 --model " + name + " --layers " +
                                        std::to_string(layers) + " --layout " + layout + " '" + model + "'";
            CHECK_EQ(std::system(command.c_str()), 0);
            LoadOptions o;
            o.device = "cpu", o.threads = 1, o.precision = Precision::BFLOAT16;
            Request r;
            r.prompt.emplace("a red ball");
            r.width = 960, r.height = 544, r.num_frames = 97;
            r.attention = Attention::KV, r.cache.kind = CacheKind::NONE;
            const MemoryForecast f = forecast_memory(model, o, r);
            CHECK_EQ(f.transformer, 2 * numbers_in(test::published_tensors(published)));
            CHECK_EQ(f.text_encoder, 2 * numbers_in(test::published_text_encoder(2)));
            CHECK_EQ(f.vae_weights, 4 * numbers_in(test::published_vae()));
            CHECK(f.vae > int64_t(1) << 30 && f.keys_values > int64_t(1) << 28);
            if (first) CHECK(f.total == first->total && f.keys_values == first->keys_values);
            first = f;
            fs::remove_all(model);
        }
        std::printf(
            "     %-9s of %d layers: %.2f GB of weights, %.2f GB of keys and values, %.2f GB in all\n", name,
            layers, first->weights() / 1e9, first->keys_values / 1e9, first->total / 1e9);
    }
    fs::remove_all(folder);
}

int main(int argc, char** argv) {
    test::root = argv[1], writer = argv[2];
    ::setenv("MC_SOURCE_ROOT", argv[1], 1);
    return test::run_tests(1, argv);
}
