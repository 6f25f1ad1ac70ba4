// SPDX-License-Identifier: LGPL-2.1-or-later
// The kernels of kernels/cuda, run on the CPU thread by thread, against the plain versions: forwards and backwards, at
// sizes that fill blocks and such that do not, on numbers that include NaN and infinity.
#include "tests/kernels/cuda_on_cpu.h"

#include <limits>
#include <random>

#include "kernels/cuda/picture_kernels.cu"
#include "kernels/cuda/row_kernels.cu"
#include "tests/check.h"
#include "tests/kernels/rows.h"

using namespace mc::kernels;

namespace {

std::vector<float> numbers(size_t count) {
    std::vector<float> x(count);
    std::mt19937 generator(1);
    std::normal_distribution<float> normal;
    for (float& v : x) v = normal(generator);
    x[0] = NAN, x[count / 2] = INFINITY, x[count - 1] = -INFINITY;
    return x;
}

// What `make` writes into fresh memory between two stretches that nobody may touch.
template <typename F>
std::vector<uint8_t> written(size_t bytes, const F& make) {
    std::vector<uint8_t> memory(bytes + 128, 0xee);
    make(memory.data() + 64);
    for (size_t i = 0; i < 64; i++) CHECK(memory[i] == 0xee && memory[bytes + 64 + i] == 0xee);
    return {memory.begin() + 64, memory.end() - 64};
}

} // namespace

TEST(pictures) {
    for (auto [w, h] : {std::pair<size_t, size_t>(2, 2), {32, 8}, {34, 10}, {66, 18}, {160, 90}}) {
        const std::vector<float> x = numbers(3 * w * h);
        const Picture picture{x.data(), w * h, w, h};
        const size_t rgb = 3 * w + 5, y = w + 3, c = w + 9;
        for (bool backwards : {false, true}) {
            cuda_on_cpu::backwards = backwards;
            CHECK(written(rgb * h, [&](uint8_t* out) { picture_to_rgb(picture, out, rgb); }) ==
                  written(rgb * h, [&](uint8_t* out) { cuda::picture_to_rgb(picture, out, rgb, nullptr); }));
            const size_t strides[3] = {y, c, c}, bytes = y * h + 2 * c * (h / 2);
            auto planes = [&](auto make) {
                return written(bytes, [&](uint8_t* out) {
                    uint8_t* p[3] = {out, out + y * h, out + y * h + c * (h / 2)};
                    make(p);
                });
            };
            CHECK(planes([&](uint8_t** p) { picture_to_i420(picture, p, strides); }) ==
                  planes([&](uint8_t** p) { cuda::picture_to_i420(picture, p, strides, nullptr); }));
            CHECK(planes([&](uint8_t** p) { picture_to_nv12(picture, p, strides); }) ==
                  planes([&](uint8_t** p) { cuda::picture_to_nv12(picture, p, strides, nullptr); }));
        }
    }
}

// Up to 1.3B's width, a block of fibers a few rows; 14B's once.
TEST(rows_of_activations) {
    const rows::Launchers launch{true,
                                 [](const rows::ResidualNorm& a) { cuda::residual_norm(a, nullptr); },
                                 [](const rows::Projection& a) { cuda::project(a, nullptr); },
                                 [](const Reuse& a) { cuda::reuse(a, nullptr); },
                                 [](const rows::Change& a) { cuda::change(a, nullptr); },
                                 [](const rows::Codes& a) { cuda::quantize(a, nullptr); },
                                 [](const rows::Codes& a) { cuda::restore(a, nullptr); }};
    for (bool backwards : {false, true}) {
        cuda_on_cpu::backwards = backwards;
        mc::kernels::test::fuzz_rows(launch, backwards ? 1536 : rows::MOST_WIDTH);
    }
    cuda_on_cpu::backwards = false;
    rows::ResidualNorm wider{};
    wider.rows = 1, wider.width = rows::MOST_WIDTH + 8;
    CHECK(cuda::residual_norm(wider, nullptr) == cudaErrorInvalidValue);
}

// ---- what the harness itself must notice ----

namespace {

__global__ void sum(const float* x, float* y, bool race) {
    __shared__ float part[2];
    float v = x[threadIdx.x];
    for (unsigned m = 16; m; m /= 2) v += __shfl_xor_sync(~0u, v, m);
    if (threadIdx.x % 32 == 0) part[threadIdx.x / 32] = v;
    if (!race) __syncthreads();
    if (threadIdx.x == 0) *y = part[0] + part[1];
}

__global__ void some_wait() {
    if (threadIdx.x < 7) __syncthreads();
}

} // namespace

TEST(shuffles_barriers_and_races) {
    std::vector<float> x(64);
    for (int i = 0; i < 64; i++) x[i] = float(i);
    float forwards[2] = {}, back[2] = {};
    for (bool race : {false, true})
        for (bool backwards : {false, true}) {
            cuda_on_cpu::backwards = backwards;
            // Shared memory starts with what another block left.
            std::vector<float> other(64, backwards ? 1000.f : -1000.f);
            float ignored;
            MC_LAUNCH(sum, dim3(1), dim3(64), nullptr, other.data(), &ignored, false);
            MC_LAUNCH(sum, dim3(1), dim3(64), nullptr, x.data(), &(backwards ? back : forwards)[race], race);
        }
    cuda_on_cpu::backwards = false;
    CHECK_EQ(forwards[0], 2016.f);
    CHECK_EQ(back[0], 2016.f);
    CHECK(forwards[1] != back[1]);
    bool thrown = false;
    try {
        MC_LAUNCH(some_wait, dim3(1), dim3(64), nullptr);
    } catch (const std::logic_error&) {
        thrown = true;
    }
    CHECK(thrown);
}

int main(int argc, char** argv) {
    return mc::test::run_tests(argc, argv);
}
