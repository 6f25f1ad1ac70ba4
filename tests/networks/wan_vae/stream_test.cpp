// SPDX-License-Identifier: LGPL-2.1-or-later
// What holds for every VAE: the chunking and the number of threads do not matter, the arithmetics agree,
// a cancel is noticed soon, wrong input is an error.
#include "tests/check.h"

#include "engine/processor.h"
#include "tests/networks/wan_vae/vaes.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>

using namespace mc;
using namespace mc::wan_vae;
using namespace mc::wan_vae::test;

namespace {

// The worst difference, in parts of the greatest value.
double distance(const at::Tensor& a, const at::Tensor& b) {
    return (a - b).abs().max().item<double>() / b.abs().max().item<double>();
}

at::Tensor in_chunks(const WanVae& vae, const at::Tensor& latents, const std::vector<int64_t>& chunks) {
    const auto stream = vae.decoder();
    std::vector<at::Tensor> frames; // kept while later calls run: a result stays valid
    int64_t first = 0;
    for (int64_t n : chunks) {
        frames.push_back(stream->decode(latents.narrow(1, first, n)));
        first += n;
    }
    CHECK_EQ(first, latents.size(1));
    return at::cat(frames, 1);
}

} // namespace

static void chunking_changes_no_bit(const WanVae& vae, const std::vector<std::vector<int64_t>>& ways) {
    const at::Tensor latents = noise({16, 5, 2, 3});
    const at::Tensor whole = vae.decoder()->decode(latents);
    CHECK(whole.sizes() == at::IntArrayRef({3, 17, 16, 24}));
    for (const auto& chunks : ways) CHECK(in_chunks(vae, latents, chunks).equal(whole));
}

TEST(chunking_changes_no_bit) {
    for (const Opened& opened : {toy(), demo()})
        chunking_changes_no_bit(*opened.vae(), {{1, 1, 1, 1, 1}, {1, 4}, {2, 3}, {3, 1, 1}});
    chunking_changes_no_bit(*toy().vae(Arithmetic::PLAIN), {{1, 1, 1, 1, 1}, {2, 3}});
    for (Precision precision : {Precision::FLOAT32, Precision::BFLOAT16})
        chunking_changes_no_bit(*demo().vae(Arithmetic::DEVICE, precision), {{1, 1, 1, 1, 1}, {2, 3}});
}

TEST(threads_change_no_bit) {
    const int before = thread_count();
    const auto vae = demo().vae();
    const at::Tensor latents = noise({16, 3, 5, 7});
    const at::Tensor video = vae->decoder()->decode(latents), encoded = vae->encode(video);
    for (int threads : {1, 2, 3}) {
        set_thread_count(threads);
        CHECK(vae->decoder()->decode(latents).equal(video));
        CHECK(vae->encode(video).equal(encoded));
    }
    set_thread_count(before);
}

// As GPUs compute: float32 is the same, and what bfloat16 costs is told.
TEST(device_equals_plain) {
    for (const Opened& opened : {toy(), demo()}) {
        const auto plain = opened.vae(Arithmetic::PLAIN), wide = opened.vae(Arithmetic::DEVICE),
                   half = opened.vae(Arithmetic::DEVICE, Precision::BFLOAT16);
        CHECK_EQ(wide->bytes(), plain->bytes());
        CHECK_EQ(2 * half->bytes(), plain->bytes());
        const at::Tensor latents = noise({16, 4, 6, 10});
        const auto want_stream = plain->decoder(), wide_stream = wide->decoder(), half_stream = half->decoder();
        const at::Tensor want = want_stream->decode(latents), same = wide_stream->decode(latents),
                         rounded = half_stream->decode(latents);
        CHECK(same.scalar_type() == at::kFloat && rounded.scalar_type() == at::kFloat);
        CHECK_NEAR(distance(same, want), 0, 2e-5);
        CHECK_EQ(wide_stream->flop(), want_stream->flop());
        CHECK_EQ(half_stream->flop(), want_stream->flop());
        const at::Tensor encoded = plain->encode(want);
        CHECK_NEAR(distance(wide->encode(want), encoded), 0, 2e-5);
        const at::Tensor off = half->encode(want) - encoded;
        const double latents_off = (off.norm() / encoded.norm()).item<double>(),
                     error = (rounded.clamp(-1, 1) - want.clamp(-1, 1)).square().mean().item<double>(),
                     psnr = 10 * std::log10(4 / error);
        std::printf("     %s: in bfloat16 pixels are %.1f dB from float32, latents %.4f of their size\n",
                    opened.config.base == 4 ? "toy" : "demo", psnr, latents_off);
        CHECK(psnr > 30 && psnr < 100);
        CHECK(latents_off > 1e-4 && latents_off < 0.05);
        // Every slot of the state holds what it should.
        const auto slots = half_stream->slots(), expected = want_stream->slots();
        CHECK_EQ(slots.size(), expected.size());
        for (size_t i = 0; i < std::min(slots.size(), expected.size()); i++) {
            CHECK_EQ(slots[i].defined(), expected[i].defined());
            if (!slots[i].defined()) continue;
            const at::Tensor slot_off = slots[i].to(at::kFloat) - expected[i];
            CHECK_NEAR((slot_off.norm() / expected[i].norm()).item<double>(), 0, 0.05);
        }
    }
}

TEST(fast_equals_plain) {
    for (const Opened& opened : {toy(), demo()}) {
        const auto fast = opened.vae(), plain = opened.vae(Arithmetic::PLAIN);
        const at::Tensor latents = noise({16, 3, 2, 5});
        const auto fast_stream = fast->decoder(), plain_stream = plain->decoder();
        const at::Tensor video = fast_stream->decode(latents), expected = plain_stream->decode(latents);
        CHECK(expected.abs().max().item<double>() > 0.1);
        CHECK_NEAR(distance(video, expected), 0, 2e-5);
        const auto slots = fast_stream->slots(), expected_slots = plain_stream->slots();
        CHECK_EQ(slots.size(), expected_slots.size());
        for (size_t i = 0; i < std::min(slots.size(), expected_slots.size()); i++) {
            CHECK_EQ(slots[i].defined(), expected_slots[i].defined());
            if (slots[i].defined()) CHECK_NEAR(distance(slots[i], expected_slots[i]), 0, 1e-4);
        }
        CHECK_NEAR(distance(fast->encode(expected), plain->encode(expected)), 0, 2e-5);
        // Doubling folded into its convolution multiplies four ninths as much, everything else the same.
        CHECK(fast_stream->flop() < plain_stream->flop() && 2 * fast_stream->flop() > plain_stream->flop());
        int64_t fast_flop = 0, plain_flop = 0;
        fast->encode(expected, {}, &fast_flop), plain->encode(expected, {}, &plain_flop);
        CHECK_EQ(fast_flop, plain_flop);
    }
}

// By the sizes in the demo model's config.json, one latent frame of a pixel, the first of a video.
TEST(flop_by_hand) {
    const auto pixels = [](int64_t side, int64_t k, int64_t out) { return 2 * side * side * k * out; };
    const auto causal = [&](int64_t side, int64_t in, int64_t out) { return pixels(side, 27 * in, out); };
    int64_t expected = pixels(1, 16, 16) + causal(1, 16, 64);           // into the network
    expected += 4 * causal(1, 64, 64) + pixels(1, 64, 4 * 64) + 4 * 64; // middle
    expected += 4 * causal(1, 64, 64) + pixels(2, 4 * 64, 32);          // stage 0
    expected += causal(2, 32, 64) + 3 * causal(2, 64, 64) + pixels(2, 32, 64) + pixels(4, 4 * 64, 32);
    expected += 4 * causal(4, 32, 32) + pixels(8, 4 * 32, 16); // stage 2
    expected += 4 * causal(8, 16, 16) + causal(8, 16, 3);      // stage 3 and out of the network
    const auto vae = demo().vae();
    const auto stream = vae->decoder();
    stream->decode(noise({16, 1, 1, 1}));
    CHECK_EQ(stream->flop(), expected);
}

TEST(cancel_is_noticed_between_layers) {
    const auto vae = demo().vae();
    const auto stream = vae->decoder();
    McCancel cancel;
    int layers = 0;
    const auto trace = [&](const std::string&, const at::Tensor&) { cancel.set = ++layers == 2; };
    CHECK_ERROR(stream->decode(noise({16, 3, 3, 4}), &cancel, trace), MC_CANCELLED, "Cancelled");
    CHECK_EQ(layers, 2);
    CHECK_ERROR(stream->decode(noise({16, 1, 3, 4})), MC_ERROR_INTERNAL, "start a new one");
    cancel.set = true;
    CHECK_ERROR(vae->encode(noise({3, 5, 16, 16}), &cancel), MC_CANCELLED, "Cancelled");
}

TEST(wrong_shapes_are_errors) {
    const auto vae = toy().vae();
    const auto stream = vae->decoder();
    CHECK_ERROR(stream->decode(noise({15, 1, 2, 2})), MC_ERROR_SETTINGS, "[15, 1, 2, 2]");
    CHECK_ERROR(stream->decode(noise({16, 2, 2})), MC_ERROR_SETTINGS, "[16, 2, 2]");
    CHECK_ERROR(stream->decode(noise({16, 0, 2, 2})), MC_ERROR_SETTINGS, "[16, 0, 2, 2]");
    stream->decode(noise({16, 1, 2, 2}));
    CHECK_ERROR(stream->decode(noise({16, 1, 2, 3})), MC_ERROR_SETTINGS, "[2, 3]");
    CHECK(stream->decode(noise({16, 1, 2, 2})).sizes() == at::IntArrayRef({3, 4, 16, 16}));
    CHECK_ERROR(vae->encode(noise({3, 5, 16, 20})), MC_ERROR_SETTINGS, "multiples of 8");
    CHECK_ERROR(vae->encode(noise({4, 5, 16, 16})), MC_ERROR_SETTINGS, "[4, 5, 16, 16]");
    CHECK_ERROR(vae->encode(noise({3, 0, 16, 16})), MC_ERROR_SETTINGS, "[3, 0, 16, 16]");
}

TEST(a_config_of_another_network_is_an_error) {
    const auto with = [](const std::function<void(model::VaeConfig&)>& change) {
        Opened opened = toy();
        change(opened.config);
        opened.vae();
    };
    using C = model::VaeConfig;
    CHECK_ERROR(with([](C& c) { c.base = 8; }), MC_ERROR_READ, "encoder.conv_in");
    CHECK_ERROR(with([](C& c) { c.residual_blocks = 3; }), MC_ERROR_READ, "encoder.down_blocks");
    CHECK_ERROR(with([](C& c) { c.residual_blocks = 0; }), MC_ERROR_READ, "below 1");
    CHECK_ERROR(with([](C& c) { c.multipliers.pop_back(); }), MC_ERROR_READ, "between stages");
    CHECK_ERROR(with([](C& c) { c.temporal_factor = 8; }), MC_ERROR_READ, "contradicts itself");
    CHECK_ERROR(with([](C& c) { c.latents_mean.pop_back(); }), MC_ERROR_READ, "mean or deviation");
    CHECK_ERROR(with([](C& c) { c.latents_std[3] = 0; }), MC_ERROR_READ, "not positive");
}
