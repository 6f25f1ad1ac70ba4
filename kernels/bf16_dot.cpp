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

// 2^x, to a hundredth of what bfloat16 tells apart; exactly 0 below -126.5. NaN stays NaN.
//     x = n + f, |f| <= 1/2;   2^f = 1 + f q(f), q the minimax polynomial of relative error 3e-6
MC_BF16 inline __m512 exp2(__m512 x) {
    const __m512 n = _mm512_roundscale_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    const __m512 f = _mm512_sub_ps(x, n);
    __m512 q = _mm512_fmadd_ps(_mm512_set1_ps(9.58285304e-3f), f, _mm512_set1_ps(5.59064247e-2f));
    q = _mm512_fmadd_ps(q, f, _mm512_set1_ps(0.240240986f));
    q = _mm512_fmadd_ps(q, f, _mm512_set1_ps(0.693124193f));
    const __m512 e = _mm512_fmadd_ps(q, f, _mm512_set1_ps(1.f));
    const __mmask16 not_below = _mm512_cmp_ps_mask(x, _mm512_set1_ps(-126.5f), _CMP_NLT_UQ);
    return _mm512_maskz_scalef_ps(not_below, e, n);
}

MC_BF16 void softmax(const ScoreTile& t) {
    const __m512 scale = _mm512_set1_ps(t.scale);
    for (size_t r = 0; r < t.rows; r++) {
        const float* const s = t.scores + r * t.score_stride;
        __m512 most = _mm512_load_ps(s), most1 = most;
        for (size_t i = 0; i < t.keys; i += 32) {
            most = _mm512_max_ps(most, _mm512_load_ps(s + i));
            most1 = _mm512_max_ps(most1, _mm512_load_ps(s + i + 16));
        }
        const float before = t.largest[r];
        const float block = _mm512_reduce_max_ps(_mm512_max_ps(most, most1));
        const float largest = before < block ? block : before;
        const __m512 shift = _mm512_set1_ps(largest);
        bf16* const w = static_cast<bf16*>(t.weights) + r * t.weight_stride;
        __m512 sum = _mm512_setzero_ps(), sum1 = sum;
        for (size_t i = 0; i < t.keys; i += 32) {
            const __m512 a = exp2(_mm512_mul_ps(_mm512_sub_ps(_mm512_load_ps(s + i), shift), scale));
            const __m512 b = exp2(_mm512_mul_ps(_mm512_sub_ps(_mm512_load_ps(s + i + 16), shift), scale));
            const __m512bh both = _mm512_cvtne2ps_pbh(b, a);
            _mm512_store_si512(w + i, (__m512i)both);
            // As they were rounded. Not by a pairwise product, which has to wait for the one before.
            sum = _mm512_add_ps(sum, (__m512)_mm512_slli_epi32((__m512i)both, 16));
            sum1 = _mm512_add_ps(sum1, (__m512)_mm512_and_si512((__m512i)both, _mm512_set1_epi32(-65536)));
        }
        const __m512 correction = exp2(_mm512_set1_ps((before - largest) * t.scale));
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
