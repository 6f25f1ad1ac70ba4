// SPDX-License-Identifier: LGPL-2.1-or-later
#include "kernels/conv.h"

#include <algorithm>
#include <cstring>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/conv.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace mc::kernels {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;
using D = hn::CappedTag<float, CONV_BLOCK>;

// Taps [first, last) of the outputs in one rectangle of channels and positions.
struct Part {
    const float* weights; // of the first tap, at the first channel
    size_t first, last;
    size_t row, channel, channels;
    bool add_out, add_bias;
};

// `P` neighbouring positions times `V` vectors of channels, accumulated in registers.
template <int P, int V>
HWY_INLINE void tile(const Conv& a, const Part& part, size_t column) {
    const D d;
    constexpr size_t n = hn::MaxLanes(D());
    using Vec = hn::Vec<D>;
    HWY_ALIGN float edge[P][V * n]; // where the last channels do not fill the vectors
    const bool whole = part.channels == V * n;
    float* const out = a.out + part.row * a.out_row + column * a.out_step + part.channel;
    Vec sum[P][V];
    if (part.add_bias) {
        HWY_ALIGN float bias[V * n] = {};
        std::memcpy(bias, a.bias + part.channel, part.channels * sizeof(float));
#pragma GCC unroll 12
        for (int p = 0; p < P; p++)
#pragma GCC unroll 4
            for (int v = 0; v < V; v++) sum[p][v] = hn::Load(d, bias + v * n);
    } else {
#pragma GCC unroll 12
        for (int p = 0; p < P; p++)
#pragma GCC unroll 4
            for (int v = 0; v < V; v++) sum[p][v] = hn::Zero(d);
    }
    if (part.add_out) {
#pragma GCC unroll 12
        for (int p = 0; p < P; p++) {
            const float* from = out + p * a.out_step;
            if (!whole) from = static_cast<float*>(std::memcpy(edge[p], from, part.channels * sizeof(float)));
#pragma GCC unroll 4
            for (int v = 0; v < V; v++) sum[p][v] = hn::Add(hn::LoadU(d, from + v * n), sum[p][v]);
        }
    }
    const float* w = part.weights;
    for (size_t t = part.first; t < part.last; t++) {
        const float* in = a.taps[t] + part.row * a.in_row + column * a.in_step;
        const float* const end = w + a.run * CONV_BLOCK;
        for (; w != end; w += CONV_BLOCK, in++) {
            Vec weight[V];
#pragma GCC unroll 4
            for (int v = 0; v < V; v++) weight[v] = hn::LoadU(d, w + v * n);
#pragma GCC unroll 12
            for (int p = 0; p < P; p++) {
                const Vec x = hn::Set(d, in[p * a.in_step]);
#pragma GCC unroll 4
                for (int v = 0; v < V; v++) sum[p][v] = hn::MulAdd(x, weight[v], sum[p][v]);
            }
        }
    }
#pragma GCC unroll 12
    for (int p = 0; p < P; p++) {
        float* const to = whole ? out + p * a.out_step : edge[p];
#pragma GCC unroll 4
        for (int v = 0; v < V; v++) hn::StoreU(sum[p][v], d, to + v * n);
    }
    if (!whole)
        for (int p = 0; p < P; p++) std::memcpy(out + p * a.out_step, edge[p], part.channels * sizeof(float));
}

// The last columns of a row, fewer than P.
template <int P, int V>
HWY_INLINE void rest(const Conv& a, const Part& part, size_t column) {
    if constexpr (P > 1) {
        if (a.columns - column == P - 1)
            tile<P - 1, V>(a, part, column);
        else
            rest<P - 1, V>(a, part, column);
    }
}

// All columns of a row, P at a time; when few would be left over, the last two tiles share them evenly,
// because a short tile waits for its own additions.
template <int P, int V>
void row(const Conv& a, const Part& part) {
    constexpr size_t half = (P * 2 + 2) / 3;
    size_t column = 0;
    for (; a.columns - column >= P; column += P) {
        if (a.columns - column == 2 * half) break;
        tile<P, V>(a, part, column);
    }
    if (a.columns - column == 2 * half) {
        tile<half, V>(a, part, column);
        tile<half, V>(a, part, column + half);
    } else if (column < a.columns) {
        rest<P, V>(a, part, column);
    }
}

void conv(const Conv& a) {
    constexpr size_t n = hn::MaxLanes(D());
    // Twelve accumulators hide the latency of the multiply-add and leave registers for weights and input.
    constexpr int wide = n < CONV_BLOCK ? 2 : 1, narrow = 1;
    constexpr int wide_positions = 12 / wide, narrow_positions = 12;
    const size_t k_all = a.n_taps * a.run;
    // A block's weights are read once per tile: as many taps at a time as the second-level cache surely holds.
    const size_t taps_at_once =
        std::clamp<size_t>(192 * 1024 / (a.run * CONV_BLOCK * sizeof(float)), 1, a.n_taps);
    for (size_t block = 0; block < a.out_channels; block += CONV_BLOCK)
        for (size_t first = 0; first < a.n_taps; first += taps_at_once) {
            const size_t end = std::min(a.out_channels, block + CONV_BLOCK);
            for (size_t r = 0; r < a.rows; r++)
                for (size_t c = block, width; c < end; c += width) {
                    const bool two = wide == 2 && end - c > n;
                    width = two ? 2 * n : n;
                    const Part part{a.weights + block * k_all + first * a.run * CONV_BLOCK + (c - block),
                                    first,
                                    std::min(a.n_taps, first + taps_at_once),
                                    r,
                                    c,
                                    std::min(width, end - c),
                                    a.add || first > 0,
                                    first == 0};
                    if (two)
                        row<wide_positions, wide>(a, part);
                    else
                        row<narrow_positions, narrow>(a, part);
                }
        }
}

} // namespace HWY_NAMESPACE
} // namespace mc::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace mc::kernels {
HWY_EXPORT(conv);
void conv(const Conv& a) {
    HWY_DYNAMIC_DISPATCH(conv)(a);
}
} // namespace mc::kernels
#endif
