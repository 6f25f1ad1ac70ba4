// SPDX-License-Identifier: LGPL-2.1-or-later
// The fast forward against the plain one, and the properties that hold for every model: a chunk does not see
// later ones, the folded padding equals 512 rows, the same input gives the same bytes.
#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>

#include "engine/networks/wan_dit/wan_dit_files.h"
#include "engine/networks/wan_dit/text_context.h"
#include "engine/networks/wan_dit/transformer.h"
#include "tests/check.h"

using namespace mc;
using wan_dit::Transformer;
using wan_dit::Window;

static std::string demo, toy; // transformer folders: the demo model's and the golden one's

static std::unique_ptr<Transformer> load(const std::string& path, Precision precision,
                                         std::optional<kernels::Store> store = {}) {
    model::TransformerConfig config;
    auto tensors = model::open_transformer(path, config);
    return std::make_unique<Transformer>(Weights(*tensors, at::kCPU), config, precision, store);
}

struct Input {
    at::Tensor latents, embeds;
    std::vector<int64_t> timesteps;
};
static Input input_for(const Transformer& t, const Window::Shape& s) {
    at::Generator generator = at::make_generator<at::CPUGeneratorImpl>(7);
    Input in;
    in.latents = at::randn({t.config().in_channels, s.frames, s.height, s.width}, generator);
    in.embeds = at::randn({9, t.config().text_width}, generator);
    for (int f = 0; f < s.frames; f++)
        in.timesteps.push_back(std::min(999, 100 + f / std::max(1, s.chunk) * 211));
    return in;
}

static double distance(const at::Tensor& a, const at::Tensor& b) {
    return (a - b).abs().max().item<double>();
}
static double relative(const at::Tensor& a, const at::Tensor& b) {
    return ((a - b).norm() / b.norm()).item<double>();
}

static void fast_equals_plain(const std::string& path, Attention attention, Precision precision,
                              double limit) {
    c10::InferenceMode guard;
    auto t = load(path, precision);
    Window::Shape shape{6, 8, 12, 2, attention, 24};
    Input in = input_for(*t, shape);
    auto text = t->text_context(in.embeds);
    Window window(*t, shape);
    at::Tensor fast = window.forward(in.latents, in.timesteps, *text).clone();
    window.use_plain(true);
    at::Tensor plain = window.forward(in.latents, in.timesteps, *text).clone();
    CHECK(plain.abs().max().item<double>() > 0.1);
    std::printf("     fast to plain, relative: %.2g\n", relative(fast, plain));
    CHECK_NEAR(relative(fast, plain), 0, limit);
}

TEST(fast_equals_plain_float32) {
    for (const auto& path : {demo, toy})
        for (auto attention : {Attention::FULL, Attention::CAUSAL})
            fast_equals_plain(path, attention, Precision::FLOAT32, 1e-5);
}

// Both round to bfloat16, at slightly different places: within a few of its units (2^-8) of each other.
TEST(fast_equals_plain_bfloat16) {
    for (auto attention : {Attention::FULL, Attention::CAUSAL})
        fast_equals_plain(demo, attention, Precision::BFLOAT16, 0.02);
}

// In memory as bfloat16, and as float32 that holds bfloat16 numbers: whatever this processor prefers, both run.
static void bfloat16_is_near_float32(kernels::Store store) {
    c10::InferenceMode guard;
    auto a = load(demo, Precision::FLOAT32), b = load(demo, Precision::BFLOAT16, store);
    Window::Shape shape{6, 12, 20, 3, Attention::CAUSAL, 24};
    Input in = input_for(*a, shape);
    Window wa(*a, shape), wb(*b, shape);
    auto ta = a->text_context(in.embeds), tb = b->text_context(in.embeds);
    double d = relative(wb.forward(in.latents, in.timesteps, *tb), wa.forward(in.latents, in.timesteps, *ta));
    std::printf("     bfloat16 to float32, relative: %.5f\n", d);
    CHECK(d > 1e-5);
    CHECK(d < 0.02);
}

TEST(bfloat16_in_memory_is_near_float32) {
    bfloat16_is_near_float32(kernels::Store::BF16);
}
TEST(bfloat16_in_float32_is_near_float32) {
    bfloat16_is_near_float32(kernels::Store::F32_AS_BF16);
}

TEST(a_chunk_does_not_see_later_ones) {
    c10::InferenceMode guard;
    auto t = load(demo, Precision::FLOAT32);
    for (auto attention : {Attention::CAUSAL, Attention::FULL}) {
        Window::Shape shape{6, 8, 8, 2, attention, 24};
        Input in = input_for(*t, shape);
        auto text = t->text_context(in.embeds);
        Window window(*t, shape);
        at::Tensor before = window.forward(in.latents, in.timesteps, *text).clone();
        in.latents.narrow(1, 4, 2).add_(1);
        at::Tensor after = window.forward(in.latents, in.timesteps, *text).clone();
        double early = distance(before.narrow(1, 0, 4), after.narrow(1, 0, 4));
        double late = distance(before.narrow(1, 4, 2), after.narrow(1, 4, 2));
        CHECK(late > 1e-3);
        if (attention == Attention::CAUSAL)
            CHECK_EQ(early, 0.0);
        else
            CHECK(early > 1e-4);
    }
}

// The padding rows are all alike: one key with log(count) added must be what the rows apart are.
TEST(folded_padding_equals_all_rows) {
    c10::InferenceMode guard;
    auto t = load(demo, Precision::FLOAT32);
    Window::Shape shape{3, 8, 8, 3, Attention::FULL, 24};
    Input in = input_for(*t, shape);
    auto folded = t->text_context(in.embeds);
    at::Tensor padded = at::zeros({t->config().text_rows, in.embeds.size(1)});
    padded.narrow(0, 0, in.embeds.size(0)).copy_(in.embeds);
    auto whole = t->text_context(padded);
    CHECK_EQ(folded->layers[0].k.size(0), in.embeds.size(0) + 1);
    CHECK_EQ(whole->layers[0].k.size(0), t->config().text_rows);
    Window window(*t, shape);
    at::Tensor a = window.forward(in.latents, in.timesteps, *folded).clone();
    at::Tensor b = window.forward(in.latents, in.timesteps, *whole).clone();
    CHECK_NEAR(distance(a, b), 0, 2e-5);
}

TEST(same_input_same_bytes) {
    c10::InferenceMode guard;
    auto t = load(demo, Precision::FLOAT32);
    Window::Shape shape{6, 12, 20, 3, Attention::CAUSAL, 24};
    Input in = input_for(*t, shape);
    auto text = t->text_context(in.embeds);
    Window one(*t, shape), other(*t, shape);
    at::Tensor first = one.forward(in.latents, in.timesteps, *text).clone();
    one.forward(in.latents * 2, std::vector<int64_t>(6, 5), *text); // leaves its traces in the workspace
    CHECK(at::equal(first, one.forward(in.latents, in.timesteps, *text)));
    CHECK(at::equal(first, other.forward(in.latents, in.timesteps, *text)));
}

TEST(cancel_stops_between_layers) {
    c10::InferenceMode guard;
    auto t = load(demo, Precision::FLOAT32);
    Window::Shape shape{3, 8, 8, 3, Attention::FULL, 24};
    Input in = input_for(*t, shape);
    auto text = t->text_context(in.embeds);
    Window window(*t, shape);
    McCancel token;
    token.set = true;
    CHECK_ERROR(window.forward(in.latents, in.timesteps, *text, Cancel(&token)), MC_CANCELLED, "");
    CHECK_ERROR(t->text_context(in.embeds, Cancel(&token)), MC_CANCELLED, "");
}

TEST(flop_follows_the_shapes) {
    c10::InferenceMode guard;
    auto t = load(demo, Precision::FLOAT32);
    Window::Shape shape{6, 8, 8, 3, Attention::FULL, 24};
    Input in = input_for(*t, shape);
    auto text = t->text_context(in.embeds);
    Window window(*t, shape);
    window.forward(in.latents, in.timesteps, *text);
    // docs/algorithms.md#flop, without the parts that do not depend on the number of tokens.
    const auto& c = t->config();
    int64_t S = 6 * 16, D = c.width, keys = in.embeds.size(0) + 1;
    int64_t block = 8 * S * D * D + 4 * S * S * D + 4 * S * D * D + 4 * S * keys * D + 4 * S * D * c.ffn;
    int64_t least = c.layers * block + 2 * S * D * 4 * c.in_channels + 2 * S * D * 4 * c.out_channels;
    CHECK(window.flop() >= least);
    CHECK(window.flop() < least * 1.02 + 20 * 8 * D * D * 2 * 2);
}

int main(int argc, char** argv) {
    demo = std::string(argv[1]) + "/models/demo/transformer";
    toy = std::string(argv[1]) + "/tests/golden/data/weights/diffusers/transformer";
    return mc::test::run_tests(argc - 1, argv + 1);
}
