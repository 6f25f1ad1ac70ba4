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
// multiply bfloat16, and packs weights anew for matrix units, which meson.build therefore hides from it.
TEST(estimates_of_memory_of_device_arithmetic_in_bfloat16) {
    if (!kernels::bf16_dot()) SKIP("this processor does not multiply bfloat16");
    estimates_of_memory_on_devices(Precision::BFLOAT16);
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
