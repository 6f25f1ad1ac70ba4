// SPDX-License-Identifier: LGPL-2.1-or-later
// The kernels of tiles.h with the pairwise product of AVX-512 BF16, which Highway 1.0 does not have. It adds
// both products of a pair to a float32 sum and treats denormals as zero.
#include "kernels/tiles.h"

#if defined(__x86_64__)

#include <immintrin.h>

#include <cstring>
#include <utility>

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized" // of its own header (GCC bug 105593)
#endif

namespace mc::kernels {

namespace {

constexpr size_t MOST_ROWS = 12; // by two vectors of sums: 24 of 32 registers

#define MC_BF16 __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512bf16")))

template <size_t rows, size_t vectors>
MC_BF16 void tile(const Tile& t) {
    // Three pointers and multiples of one stride fit the processor's addressing; twelve pointers do not.
    const size_t stride = t.a_stride;
    const bf16* const top = static_cast<const bf16*>(t.a);
    const bf16* const a[3] = {top, top + 4 * stride, top + 8 * stride};
    __m512 sum[rows][vectors];
#pragma GCC unroll 12
    for (size_t r = 0; r < rows; r++)
#pragma GCC unroll 2
        for (size_t v = 0; v < vectors; v++) {
            sum[r][v] = t.add ? _mm512_loadu_ps(t.c + r * t.c_stride + v * 16) : _mm512_setzero_ps();
            if (t.bias) sum[r][v] = _mm512_add_ps(sum[r][v], _mm512_loadu_ps(t.bias + v * 16));
        }
    const auto* pairs = static_cast<const __m512i*>(t.panel);
    const char* ahead = t.ahead;
    size_t i = 0;
    for (; i + 2 <= t.in; i += 2, pairs += vectors, ahead += t.ahead_step) {
        __m512i factor[vectors];
#pragma GCC unroll 2
        for (size_t v = 0; v < vectors; v++) {
            _mm_prefetch(ahead + v * 64, _MM_HINT_T1);
            factor[v] = _mm512_load_si512(pairs + v);
        }
#pragma GCC unroll 12
        for (size_t r = 0; r < rows; r++) {
            int pair;
            std::memcpy(&pair, a[r / 4] + r % 4 * stride + i, sizeof pair);
            const auto x = (__m512bh)_mm512_set1_epi32(pair);
#pragma GCC unroll 2
            for (size_t v = 0; v < vectors; v++)
                sum[r][v] = _mm512_dpbf16_ps(sum[r][v], x, (__m512bh)factor[v]);
        }
    }
    if (i < t.in) { // the first of a pair; the second may be anything
        const __m512i first = _mm512_set1_epi32(0xffff);
#pragma GCC unroll 12
        for (size_t r = 0; r < rows; r++) {
            const auto x = (__m512bh)_mm512_set1_epi32(a[r / 4][r % 4 * stride + i].bits);
#pragma GCC unroll 2
            for (size_t v = 0; v < vectors; v++)
                sum[r][v] = _mm512_dpbf16_ps(sum[r][v], x, (__m512bh)_mm512_and_si512(pairs[v], first));
        }
    }
#pragma GCC unroll 12
    for (size_t r = 0; r < rows; r++)
#pragma GCC unroll 2
        for (size_t v = 0; v < vectors; v++) _mm512_storeu_ps(t.c + r * t.c_stride + v * 16, sum[r][v]);
}

// 2^x to 8e-5 of itself, a twenty-fifth of what bfloat16 may round off. Below -126 a denormal or 0, which rounding to
// bfloat16 makes 0. NaN stays NaN.
//     x = n + f, 0 <= f < 1;   2^f = p(f), p the minimax polynomial of its degree
MC_BF16 inline __m512 exp2(__m512 x) {
    const __m512 f = _mm512_reduce_ps(x, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC); // 0 at an infinity
    __m512 p = _mm512_fmadd_ps(_mm512_set1_ps(7.80245227e-2f), f, _mm512_set1_ps(0.226067155f));
    p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(0.695833541f));
    p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(0.999925219f));
    return _mm512_scalef_ps(p, x); // takes n of it
}

// The whole number next to a score's exponent.
MC_BF16 inline __m512 exponent(float score, __m512 scale) {
    const __m512 x = _mm512_mul_ps(_mm512_set1_ps(score), scale);
    return _mm512_roundscale_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}

// Weights are relative to a power of two next to that of the largest score: so the correction of earlier sums is exact,
// however often they are corrected.
MC_BF16 void softmax(const ScoreTile& t) {
    const __m512 scale = _mm512_set1_ps(t.scale);
    __m512 most = _mm512_load_ps(t.scores), most1 = most;
    for (size_t i = 0; i < t.keys; i += 32) {
        most = _mm512_max_ps(most, _mm512_load_ps(t.scores + i));
        most1 = _mm512_max_ps(most1, _mm512_load_ps(t.scores + i + 16));
    }
    for (size_t r = 0; r < t.rows; r++) {
        const float* const s = t.scores + r * t.score_stride;
        const float before = t.largest[r];
        const float block = _mm512_reduce_max_ps(_mm512_max_ps(most, most1));
        const float largest = before < block ? block : before;
        const __m512 shift = exponent(largest, scale);
        bf16* const w = static_cast<bf16*>(t.weights) + r * t.weight_stride;
        // The largest of the next row on the way: by itself that waits for its own maxima.
        const float* const next = r + 1 < t.rows ? s + t.score_stride : s;
        most = most1 = _mm512_load_ps(next);
        __m512 sum = _mm512_setzero_ps(), sum1 = sum;
        for (size_t i = 0; i < t.keys; i += 32) {
            const __m512 a = exp2(_mm512_fmsub_ps(_mm512_load_ps(s + i), scale, shift));
            const __m512 b = exp2(_mm512_fmsub_ps(_mm512_load_ps(s + i + 16), scale, shift));
            most = _mm512_max_ps(most, _mm512_load_ps(next + i));
            most1 = _mm512_max_ps(most1, _mm512_load_ps(next + i + 16));
            const __m512bh both = _mm512_cvtne2ps_pbh(b, a);
            _mm512_store_si512(w + i, (__m512i)both);
            // As they were rounded. Not by a pairwise product, which takes as long and has to wait for the one before.
            sum = _mm512_add_ps(sum, (__m512)_mm512_slli_epi32((__m512i)both, 16));
            sum1 = _mm512_add_ps(sum1, (__m512)_mm512_and_si512((__m512i)both, _mm512_set1_epi32(-65536)));
        }
        const __m512 correction =
            _mm512_scalef_ps(_mm512_set1_ps(1.f), _mm512_sub_ps(exponent(before, scale), shift));
        t.largest[r] = largest;
        t.total[r] = t.total[r] * _mm512_cvtss_f32(correction) + _mm512_reduce_add_ps(_mm512_add_ps(sum, sum1));
        float* const sums = t.sums + r * t.sums_width;
        for (size_t i = 0; i < t.sums_width; i += 16)
            _mm512_storeu_ps(sums + i, _mm512_mul_ps(_mm512_loadu_ps(sums + i), correction));
    }
}

template <size_t... r>
Tiles tiles_of(std::index_sequence<r...>) {
    static constexpr TileKernel wide[] = {tile<r + 1, 2>...};
    static constexpr TileKernel narrow[] = {tile<r + 1, 1>...};
    return {wide, narrow, MOST_ROWS, softmax};
}

} // namespace

Tiles bf16_dot_tiles() {
    return tiles_of(std::make_index_sequence<MOST_ROWS>());
}

bool processor_has_bf16_dot() {
    return __builtin_cpu_supports("avx512bf16");
}

} // namespace mc::kernels

#else

namespace mc::kernels {
Tiles bf16_dot_tiles() {
    return {};
}
bool processor_has_bf16_dot() {
    return false;
}
} // namespace mc::kernels

#endif
