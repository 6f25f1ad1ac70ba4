// SPDX-License-Identifier: LGPL-2.1-or-later
// The UMT5 encoder against the golden case, in both file layouts and precisions. Argument: the folder of
// golden data.
#include <ATen/ATen.h>
#include <nlohmann/json.hpp>

#include "engine/error.h"
#include "engine/networks/t5/encoder.h"
#include "engine/networks/t5/t5_files.h"
#include "tests/check.h"
#include "tests/counting_allocator.h"
#include "tests/golden/case_file.h"

using mc::Precision;
using mc::t5::Encoder;
using Ids = std::vector<int64_t>;

namespace {

std::string golden_folder;

struct Golden {
    mc::golden::CaseFile file = mc::golden::CaseFile::open(golden_folder, "unit_umt5");
    std::string weights(const char* layout) const {
        return golden_folder + "/" + file.json.at("weights").at("text_encoder").at(layout).get<std::string>();
    }
    Ids ids(int prompt) const {
        Ids ids(512), used(512);
        file.inputs.tensors.at("ids").read(size_t(prompt) * 512 * 8, ids.data(), 512 * 8);
        file.inputs.tensors.at("mask").read(size_t(prompt) * 512 * 8, used.data(), 512 * 8);
        ids.resize(size_t(std::count(used.begin(), used.end(), 1)));
        return ids;
    }
    at::Tensor expected(const std::string& name) const {
        const auto& view = file.expected.tensors.at(name);
        at::Tensor t = at::empty(view.shape, at::kFloat);
        view.read(t.mutable_data_ptr());
        return t;
    }
};

struct Opened {
    mc::model::TextEncoderConfig config;
    std::unique_ptr<mc::model::Tensors> tensors;
    explicit Opened(const std::string& path) : tensors(mc::model::open_text_encoder(path, config)) {}
    Encoder encoder(Precision precision) const {
        return Encoder(mc::Weights(*tensors, at::kCPU), config, precision);
    }
};

void check_close(const at::Tensor& value, const at::Tensor& expected) {
    CHECK(value.scalar_type() == at::kFloat && value.sizes() == expected.sizes());
    CHECK(at::allclose(value, expected, 1e-4, 1e-4));
}

double relative_rms(const at::Tensor& value, const at::Tensor& expected) {
    return ((value - expected).norm() / expected.norm()).item<double>();
}

} // namespace

TEST(distances_have_the_buckets_of_the_reference) {
    Golden golden;
    const auto& table = golden.file.json.at("relative_position_bucket");
    int64_t relative = table.at("first");
    CHECK_EQ(table.at("values").size(), 601u);
    for (int64_t bucket : table.at("values"))
        CHECK_EQ(mc::t5::relative_position_bucket(relative++, 32, 128), bucket);
    CHECK_EQ(mc::t5::relative_position_bucket(1'000'000, 32, 128), 31);
    CHECK_EQ(mc::t5::relative_position_bucket(-1'000'000, 32, 128), 15);
}

TEST(golden_in_float32) {
    Golden golden;
    for (const char* layout : {"original", "diffusers"}) {
        Encoder encoder = Opened(golden.weights(layout)).encoder(Precision::FLOAT32);
        for (int prompt = 0; prompt < 3; prompt++)
            check_close(encoder.encode(golden.ids(prompt)),
                        golden.expected("prompt_embeds." + std::to_string(prompt)));
        std::vector<std::string> names;
        encoder.encode(golden.ids(0), {}, [&](const std::string& name, const at::Tensor& value) {
            names.push_back(name);
            if (name == "layer0_out") check_close(value, golden.expected("layer0_out_prompt0"));
        });
        CHECK(names == (std::vector<std::string>{"layer0_out", "layer1_out", "layer2_out", "embeds"}));
    }
}

// As near to float32 as the reference implementation is when it computes in bfloat16, and not nearer than
// rounding can be.
TEST(golden_in_bfloat16) {
    const double reference[] = {0.01004, 0.00843, 0.00842}; // transformers 4 on the same prompts
    Golden golden;
    Encoder encoder = Opened(golden.weights("diffusers")).encoder(Precision::BFLOAT16);
    for (int prompt = 0; prompt < 3; prompt++) {
        at::Tensor embeds = encoder.encode(golden.ids(prompt));
        CHECK(embeds.scalar_type() == at::kFloat && embeds.equal(embeds.to(at::kBFloat16).to(at::kFloat)));
        double distance = relative_rms(embeds, golden.expected("prompt_embeds." + std::to_string(prompt)));
        CHECK(distance < 1.25 * reference[prompt]);
        CHECK(distance > 0.002);
        std::printf("     prompt %d: %.5f of float32, the reference %.5f\n", prompt, distance,
                    reference[prompt]);
    }
}

TEST(the_same_ids_give_the_same_bits) {
    Golden golden;
    Encoder encoder = Opened(golden.weights("diffusers")).encoder(Precision::BFLOAT16);
    CHECK(encoder.encode(golden.ids(1)).equal(encoder.encode(golden.ids(1))));
}

TEST(cancelling_is_noticed_between_layers) {
    Golden golden;
    Opened opened(golden.weights("diffusers"));
    Encoder encoder = opened.encoder(Precision::FLOAT32);
    McCancel token;
    int layers = 0;
    auto stop_in_first = [&](const std::string&, const at::Tensor&) {
        layers++;
        token.set = true;
    };
    CHECK_ERROR(encoder.encode(golden.ids(0), &token, stop_in_first), MC_CANCELLED, "");
    CHECK_EQ(layers, 1);
    CHECK_ERROR(
        Encoder(mc::Weights(*opened.tensors, at::kCPU, &token), opened.config, Precision::FLOAT32),
        MC_CANCELLED, "");
}

TEST(unknown_ids_and_missing_tensors_are_refused) {
    Golden golden;
    Opened opened(golden.weights("diffusers"));
    Encoder encoder = opened.encoder(Precision::FLOAT32);
    CHECK_ERROR(encoder.encode({5, 768, 1}), MC_ERROR_READ, "768");
    CHECK_ERROR(encoder.encode({-1}), MC_ERROR_READ, "same model");
    opened.config.layers = 4;
    CHECK_ERROR(opened.encoder(Precision::FLOAT32), MC_ERROR_READ, "encoder.block.3.");
    opened.config.layers = 3;
    opened.config.ffn = 65;
    CHECK_ERROR(opened.encoder(Precision::FLOAT32), MC_ERROR_READ, "wi_0");
}

TEST(bytes_and_flop_follow_from_the_sizes) {
    Golden golden;
    Opened opened(golden.weights("diffusers"));
    // Width 32, 4 heads of 8, feed-forward 64, 3 layers, vocabulary 768.
    int64_t matrices = 768 * 32 + 3 * (4 * 32 * 32 + 3 * 32 * 64), vectors = 3 * (2 * 32 + 32 * 4) + 32;
    CHECK_EQ(opened.encoder(Precision::FLOAT32).bytes(), 4 * (matrices + vectors));
    CHECK_EQ(opened.encoder(Precision::BFLOAT16).bytes(), 2 * matrices + 4 * vectors);
    int64_t layer = 10 * (4 * 32 * 32 + 3 * 32 * 64) + 2 * (4 * 10 * 10 * 8); // multiplications for 10 tokens
    CHECK_EQ(opened.encoder(Precision::FLOAT32).flop(10), 2 * 3 * layer);
}

TEST(peak_memory_is_as_planned) {
    Golden golden;
    for (Precision precision : {Precision::FLOAT32, Precision::BFLOAT16}) {
        Encoder encoder = Opened(golden.weights("diffusers")).encoder(precision);
        for (int prompt = 0; prompt < 3; prompt++) {
            Ids ids = golden.ids(prompt);
            mc::test::CountingAllocator counting;
            encoder.encode(ids);
            int64_t planned = encoder.encode_bytes(int64_t(ids.size()));
            std::printf("     %zu tokens: peak %ld of %ld\n", ids.size(), long(counting.peak.load()),
                        long(planned));
            CHECK(counting.peak <= planned);
            CHECK(counting.peak > planned / 4);
        }
    }
}

int main(int argc, char** argv) {
    if (argc < 2) {
        std::fprintf(stderr, "usage: %s GOLDEN_FOLDER [CASE...]\n", argv[0]);
        return 2;
    }
    golden_folder = argv[1];
    return mc::test::run_tests(argc - 1, argv + 1);
}
