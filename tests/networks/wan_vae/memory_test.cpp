// SPDX-License-Identifier: LGPL-2.1-or-later
// The estimates of memory against what is really taken.
#include "tests/check.h"

#include "tests/networks/wan_vae/vaes.h"

#include <ATen/Parallel.h>

#include "kernels/gemm.h"
#include "tests/counting_allocator.h"

using namespace mc;
using namespace mc::wan_vae;
using namespace mc::wan_vae::test;

namespace {

// Never less than the truth, and at most a quarter more; half as much where it counts what only a GPU takes.
void compare(const char* what, int64_t estimate, int64_t truth, bool device) {
    std::printf("     %s: %.2f MB estimated, %.2f taken\n", what, estimate / 1e6, truth / 1e6);
    CHECK(estimate >= truth);
    CHECK(estimate <= (device ? truth * 3 / 2 : truth * 5 / 4));
}

} // namespace

static void estimates_of_memory(const std::string& name, const Opened& opened, Arithmetic arithmetic,
                                int64_t h, int64_t w, Precision precision = Precision::FLOAT32) {
    const auto vae = opened.vae(arithmetic, precision);
    const bool device = arithmetic == Arithmetic::DEVICE;
    const at::Tensor latents = noise({16, 4, h, w}), video = noise({3, 9, 8 * h, 8 * w});
    {
        mc::test::CountingAllocator counting;
        const auto stream = vae->decoder();
        for (int i = 0; i < 2; i++) stream->decode(latents.narrow(1, 2 * i, 2));
        compare((name + ", decoding").c_str(), vae->decode_bytes(2, h, w), counting.peak, device);
    }
    {
        mc::test::CountingAllocator counting;
        vae->encode(video);
        compare((name + ", encoding").c_str(), vae->encode_bytes(9, h, w), counting.peak, device);
    }
}

TEST(estimates_of_memory) {
    estimates_of_memory("toy", toy(), Arithmetic::AUTO, 3, 5);
    estimates_of_memory("demo", demo(), Arithmetic::AUTO, 12, 20);
}

TEST(estimates_of_memory_of_plain_arithmetic) {
    estimates_of_memory("toy", toy(), Arithmetic::PLAIN, 6, 10);
    estimates_of_memory("demo", demo(), Arithmetic::PLAIN, 4, 8);
}

static void estimates_of_memory_on_devices(Precision precision) {
    const std::string name = std::string(" in ") + name_of(precision);
    estimates_of_memory("toy" + name, toy(), Arithmetic::DEVICE, 6, 10, precision);
    estimates_of_memory("demo" + name, demo(), Arithmetic::DEVICE, 8, 16, precision);
}

TEST(estimates_of_memory_of_device_arithmetic) {
    estimates_of_memory_on_devices(Precision::FLOAT32);
}

// What stands for a device is LibTorch's library on the processor. It takes copies in float32 where that cannot
// multiply bfloat16, and packs weights anew for matrix units, which tests/run.sh therefore hides from it.
TEST(estimates_of_memory_of_device_arithmetic_in_bfloat16) {
    if (!kernels::bf16_dot()) SKIP("this processor does not multiply bfloat16");
    estimates_of_memory_on_devices(Precision::BFLOAT16);
}

// The published VAE by its sizes alone.
static WanVae published(at::Device device, Precision precision) {
    model::VaeConfig c = toy().config; // its statistics do not matter
    c.base = 96;
    struct Sizes final : model::Tensors {
        explicit Sizes(const model::VaeConfig& config) {
            for (const model::ExpectedTensor& t : model::vae_tensors(config))
                tensors_[t.name] = {model::DType::F32, t.shape, *model::byte_count(model::DType::F32, t.shape),
                                nullptr};
        }
    };
    return {Sizes(c), c, device, precision};
}

// At 1280 x 720, most of what the decoder takes is the state that any division of the picture would have to keep. Taken
// by the golden VAE, which has the published one's layers at a 24th of their width; from there planned.
TEST(memory_at_720p_is_bounded) {
    constexpr int64_t h = 90, w = 160, CHUNK = 5; // latent frames that a session decodes at once
    const Opened opened = toy();
    const auto vae = opened.vae();
    mc::test::CountingAllocator counting;
    const auto stream = vae->decoder();
    for (int i = 0; i < 4; i++) stream->decode(noise({16, 1, h, w})); // the state is full, and seen
    const int64_t taken = counting.peak, planned = vae->decode_bytes(1, h, w);
    int64_t state = 0;
    for (const at::Tensor& slot : stream->slots())
        if (slot.defined()) state += int64_t(slot.nbytes());
    compare("golden VAE at 1280 x 720", planned, taken, false);
    std::printf("     %.2f MB of it are state\n", state / 1e6);
    CHECK(state > taken * 2 / 3);

    for (const auto& [name, device, precision, bound] :
         {std::tuple{"CPU", at::kCPU, Precision::FLOAT32, 12.5e9}, {"device", at::kCUDA, Precision::BFLOAT16, 6.6e9}}) {
        const WanVae big = published(device, precision);
        const int64_t one = big.decode_bytes(1, h, w), many = big.decode_bytes(CHUNK, h, w),
                      first = big.encode_bytes(1, h, w), long_one = big.encode_bytes(121, h, w);
        std::printf("     published VAE at 1280 x 720 on a %s: %.2f GB for a latent frame, %.2f for %d of them; encoding a "
                    "picture %.2f, 121 %.2f\n",
                    name, one / 1e9, many / 1e9, int(CHUNK), first / 1e9, long_one / 1e9);
        CHECK(double(many) < bound && double(long_one) < bound);
        // More latent frames take their pixels and no more (and 2 % for small tensors); wider layers as many times what
        // narrow ones take.
        const int64_t pixels = (CHUNK - 1) * 4 * 3 * 64 * h * w * 4;
        CHECK(many - one >= pixels && many - one <= pixels * 51 / 50);
        if (device == at::kCPU) CHECK(one < 24 * planned);
    }
}

// However long the video.
TEST(a_long_video_takes_what_four_latent_frames_take) {
    const auto vae = demo().vae();
    const auto taken = [&](int frames) {
        mc::test::CountingAllocator counting;
        const auto stream = vae->decoder();
        for (int i = 0; i < frames; i++) stream->decode(noise({16, 1, 4, 6}));
        return counting.peak.load();
    };
    CHECK_EQ(taken(12), taken(4));
}

TEST(weights_are_held_once) {
    const Opened opened = demo();
    mc::test::CountingAllocator counting;
    const auto vae = opened.vae();
    // Blocks of 16 output channels leave some space in the last ones, and folded convolutions have 16 weights
    // for 9.
    CHECK(vae->bytes() > int64_t(opened.tensors->bytes()));
    CHECK(vae->bytes() < int64_t(opened.tensors->bytes()) * 5 / 4);
    CHECK(counting.peak < vae->bytes() * 5 / 4);
}
