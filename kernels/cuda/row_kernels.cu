// SPDX-License-Identifier: LGPL-2.1-or-later
#include "kernels/cuda/row_kernels.h"

#include "kernels/rows/change.h"
#include "kernels/rows/codes.h"
#include "kernels/rows/residual_norm.h"
#include "kernels/rows/reuse.h"
#include "kernels/rows/rms_rope.h"

namespace mc::kernels::cuda {

namespace {

constexpr unsigned LANES_OF_WARP = 32, ROWS_OF_BLOCK = 4;

struct Warp {
    __device__ float sum(float mine) const {
#pragma unroll
        for (unsigned mask = LANES_OF_WARP / 2; mask; mask /= 2) mine += __shfl_xor_sync(~0u, mine, mask);
        return mine;
    }
    __device__ float most(float mine) const {
#pragma unroll
        for (unsigned mask = LANES_OF_WARP / 2; mask; mask /= 2) {
            const float other = __shfl_xor_sync(~0u, mine, mask);
            mine = mine != mine || other <= mine ? mine : other;
        }
        return mine;
    }
    __device__ bool first() const { return threadIdx.x == 0; }
};

// Holds a row of up to 256 N elements in its registers.
template <int N>
struct Holding : Warp {
    float held[N * rows::EIGHT];

    template <class F>
    __device__ void each(size_t width, const F& body) {
#pragma unroll
        for (int n = 0; n < N; n++) {
            const size_t i = (n * LANES_OF_WARP + threadIdx.x) * rows::EIGHT;
            if (i < width) body(i, held + n * rows::EIGHT);
        }
    }
};

// For what looks at each element once.
struct Passing : Warp {
    template <class F>
    __device__ void each(size_t width, const F& body) {
        for (size_t i = threadIdx.x * rows::EIGHT; i < width; i += LANES_OF_WARP * rows::EIGHT) {
            float v[rows::EIGHT];
            body(i, v);
        }
    }
};

template <class T, int N>
__global__ void residual_norm_rows(rows::ResidualNorm a) {
    const size_t r = blockIdx.x * ROWS_OF_BLOCK + threadIdx.y;
    Holding<N> lanes;
    if (r < a.rows) rows::residual_norm<T>(a, r, lanes);
}
template <class T, int N>
__global__ void project_rows(rows::Projection a) {
    const size_t r = blockIdx.x * ROWS_OF_BLOCK + threadIdx.y;
    Holding<N> lanes;
    if (r < a.rows) rows::rms_rope<T>(a.part[blockIdx.y], r, lanes);
}
template <class T>
__global__ void reuse_rows(Reuse a) {
    const size_t r = blockIdx.x * ROWS_OF_BLOCK + threadIdx.y;
    Passing lanes;
    if (r < a.rows) rows::reuse<T>(a, r, lanes);
}
template <class T>
__global__ void change_rows(rows::Change a) {
    const size_t r = blockIdx.x * ROWS_OF_BLOCK + threadIdx.y;
    Passing lanes;
    if (r < a.rows) rows::change<T>(a, r, lanes);
}

template <class T>
__global__ void quantize_groups(rows::Codes a) {
    const size_t i = blockIdx.x * ROWS_OF_BLOCK + threadIdx.y, groups = a.width / a.group;
    Holding<1> lanes;
    if (i < a.count * groups) rows::quantize<T>(a, i / groups, i % groups, lanes);
}
template <class T>
__global__ void restore_rows(rows::Codes a) {
    const size_t r = blockIdx.x * ROWS_OF_BLOCK + threadIdx.y;
    Passing lanes;
    if (r < a.count) rows::restore<T>(a, r, lanes);
}

template <class F>
cudaError_t typed(Store store, const F& body) {
    store == Store::BF16 ? body(static_cast<bf16*>(nullptr)) : body(static_cast<float*>(nullptr));
    return cudaGetLastError();
}

// body(type, N) for the least N whose warp holds a row; N is a type with a `value`.
template <int N>
struct Held {
    static constexpr int value = N;
};
template <class F>
cudaError_t for_width(size_t width, Store store, const F& body) {
    const auto with = [&](auto n) { return typed(store, [&](auto* type) { body(type, n); }); };
    if (width <= 256) return with(Held<1>());
    if (width <= 1536) return with(Held<6>()); // 1.3B's
    if (width <= 3072) return with(Held<12>());
    if (width <= rows::MOST_WIDTH) return with(Held<20>());
    return cudaErrorInvalidValue;
}

dim3 blocks_of(size_t rows, size_t parts = 1) {
    return {static_cast<unsigned>((rows + ROWS_OF_BLOCK - 1) / ROWS_OF_BLOCK), static_cast<unsigned>(parts)};
}
const dim3 block(LANES_OF_WARP, ROWS_OF_BLOCK);

} // namespace

cudaError_t residual_norm(const rows::ResidualNorm& a, cudaStream_t stream) {
    if (!a.rows) return cudaSuccess;
    return for_width(a.width, a.store, [&]<class T, class N>(T*, N) {
        MC_LAUNCH((residual_norm_rows<T, N::value>), blocks_of(a.rows), block, stream, a);
    });
}
cudaError_t project(const rows::Projection& a, cudaStream_t stream) {
    if (!a.rows) return cudaSuccess;
    return for_width(a.part[0].width, a.part[0].store, [&]<class T, class N>(T*, N) {
        MC_LAUNCH((project_rows<T, N::value>), blocks_of(a.rows, a.parts), block, stream, a);
    });
}
cudaError_t reuse(const Reuse& a, cudaStream_t stream) {
    if (!a.rows) return cudaSuccess;
    return typed(a.store, [&]<class T>(T*) { MC_LAUNCH(reuse_rows<T>, blocks_of(a.rows), block, stream, a); });
}
cudaError_t change(const rows::Change& a, cudaStream_t stream) {
    if (!a.rows) return cudaSuccess;
    return typed(a.store, [&]<class T>(T*) { MC_LAUNCH(change_rows<T>, blocks_of(a.rows), block, stream, a); });
}

cudaError_t quantize(const rows::Codes& a, cudaStream_t stream) {
    if (!a.count) return cudaSuccess;
    if (a.group > 256) return cudaErrorInvalidValue;
    return typed(a.store, [&]<class T>(T*) {
        MC_LAUNCH(quantize_groups<T>, blocks_of(a.count * (a.width / a.group)), block, stream, a);
    });
}
cudaError_t restore(const rows::Codes& a, cudaStream_t stream) {
    if (!a.count) return cudaSuccess;
    return typed(a.store, [&]<class T>(T*) { MC_LAUNCH(restore_rows<T>, blocks_of(a.count), block, stream, a); });
}

} // namespace mc::kernels::cuda
