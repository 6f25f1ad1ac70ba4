// SPDX-License-Identifier: LGPL-2.1-or-later
// The kernels of kernels/cuda against those of the CPU, on numbers that include NaN and infinity. gpu-kernels [SIDE]
// Ends with 77 where there is no GPU.
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <vector>

#include "kernels/cuda/picture_kernels.h"
#include "kernels/cuda/row_kernels.h"
#include "tests/kernels/rows.h"

using namespace mc::kernels;
static int failures = 0;
static void must(cudaError_t e, const char* what) {
    if (e != cudaSuccess) std::printf("%s: %s\n", what, cudaGetErrorString(e)), std::exit(2);
}
static bool there_is_a_gpu() {
    static const bool found = [] {
        int count = 0;
        return cudaGetDeviceCount(&count) == cudaSuccess && count > 0;
    }();
    return found;
}
// All memory of this program is the host's, where a GPU reads and writes it too: the tests of row kernels hold it in
// vectors.
void* operator new(size_t bytes) {
    void* p = nullptr;
    if (!there_is_a_gpu())
        p = std::malloc(bytes ? bytes : 1);
    else if (cudaMallocHost(&p, bytes ? bytes : 1) != cudaSuccess)
        p = nullptr;
    if (!p) std::exit(2);
    return p;
}
void operator delete(void* p) noexcept {
    there_is_a_gpu() ? static_cast<void>(cudaFreeHost(p)) : std::free(p);
}
void operator delete(void* p, size_t) noexcept {
    operator delete(p);
}
static void done(cudaError_t launched) {
    must(launched, "launch"), must(cudaDeviceSynchronize(), "kernel");
}
template <typename T>
struct Device {
    T* p;
    explicit Device(size_t n, int fill = 0xee) {
        must(cudaMalloc(reinterpret_cast<void**>(&p), n * sizeof(T)), "cudaMalloc");
        must(cudaMemset(p, fill, n * sizeof(T)), "cudaMemset");
    }
    ~Device() { cudaFree(p); }
};
static void same(const char* what, const std::vector<uint8_t>& want, const uint8_t* device) {
    std::vector<uint8_t> got(want.size());
    must(cudaMemcpy(got.data(), device, got.size(), cudaMemcpyDeviceToHost), what);
    size_t off = 0;
    for (size_t i = 0; i < got.size(); i++) off += got[i] != want[i];
    std::printf("%s  %s: %zu of %zu bytes differ\n", off ? "FAIL" : "ok  ", what, off, got.size());
    failures += off > 0;
}
int main(int argc, char** argv) {
    if (!there_is_a_gpu()) {
        int count = 0;
        std::printf("there is no GPU: %s\n", cudaGetErrorString(cudaGetDeviceCount(&count)));
        return 77;
    }
    const size_t w = argc > 1 ? std::atoi(argv[1]) : 960, h = w / 16 * 9 / 2 * 2, rgb = 3 * w + 5, y = w + 3,
                 c = w / 2 + 7, uv = w + 9;
    std::vector<float> x(3 * w * h);
    std::mt19937 g(1);
    std::normal_distribution<float> n;
    for (float& v : x) v = n(g);
    x[0] = NAN, x[1] = INFINITY, x[2] = -INFINITY, x[w * h + 5] = NAN;
    Device<float> d(x.size());
    must(cudaMemcpy(d.p, x.data(), x.size() * 4, cudaMemcpyHostToDevice), "copy");
    const Picture host{x.data(), w * h, w, h}, there{d.p, w * h, w, h};
    cudaStream_t s;
    must(cudaStreamCreateWithFlags(&s, cudaStreamNonBlocking), "stream");
    {
        std::vector<uint8_t> want(rgb * h, 0xee);
        Device<uint8_t> out(want.size());
        picture_to_rgb(host, want.data(), rgb);
        must(cuda::picture_to_rgb(there, out.p, rgb, s), "picture_to_rgb"),
            must(cudaStreamSynchronize(s), "picture_to_rgb");
        same("rgb", want, out.p);
    }
    for (bool nv12 : {false, true}) {
        const size_t strides[3] = {y, nv12 ? uv : c, c}, first[3] = {0, y * h, y * h + c * (h / 2)};
        std::vector<uint8_t> want(y * h + (nv12 ? uv * (h / 2) : 2 * c * (h / 2)), 0xee);
        Device<uint8_t> out(want.size());
        uint8_t *a[3], *b[3];
        for (int i = 0; i < 3; i++) a[i] = want.data() + first[i], b[i] = out.p + first[i];
        nv12 ? picture_to_nv12(host, a, strides) : picture_to_i420(host, a, strides);
        must(nv12 ? cuda::picture_to_nv12(there, b, strides, s) : cuda::picture_to_i420(there, b, strides, s),
             "yuv");
        must(cudaStreamSynchronize(s), "yuv");
        same(nv12 ? "nv12" : "i420", want, out.p);
    }
    const rows::Launchers launch{true,
                                 [](const rows::ResidualNorm& a) { done(cuda::residual_norm(a, nullptr)); },
                                 [](const rows::Projection& a) { done(cuda::project(a, nullptr)); },
                                 [](const Reuse& a) { done(cuda::reuse(a, nullptr)); },
                                 [](const rows::Change& a) { done(cuda::change(a, nullptr)); },
                                 [](const rows::Codes& a) { done(cuda::quantize(a, nullptr)); },
                                 [](const rows::Codes& a) { done(cuda::restore(a, nullptr)); }};
    const int before = mc::test::failures();
    mc::kernels::test::fuzz_rows(launch, rows::MOST_WIDTH);
    const int off = mc::test::failures() - before;
    std::printf("%s  row kernels\n", off ? "FAIL" : "ok  ");
    return failures + off;
}
