// SPDX-License-Identifier: LGPL-2.1-or-later
#include "kernels/conv.h"

namespace mc::kernels {

size_t conv_packed_size(size_t k, size_t out_channels) {
    return (out_channels + CONV_BLOCK - 1) / CONV_BLOCK * CONV_BLOCK * k;
}

// [block][k][CONV_BLOCK]
void pack_conv(const float* weights, size_t k, size_t out_channels, float* packed) {
    for (size_t first = 0; first < out_channels; first += CONV_BLOCK)
        for (size_t i = 0; i < k; i++)
            for (size_t o = first; o < first + CONV_BLOCK; o++)
                *packed++ = o < out_channels ? weights[i * out_channels + o] : 0.f;
}

void plain::conv(const Conv& a) {
    const size_t k_all = a.n_taps * a.run;
    for (size_t r = 0; r < a.rows; r++)
        for (size_t c = 0; c < a.columns; c++)
            for (size_t o = 0; o < a.out_channels; o++) {
                float* out = a.out + r * a.out_row + c * a.out_step + o;
                float sum = (a.add ? *out : 0.f) + a.bias[o];
                const float* w = a.weights + o / CONV_BLOCK * CONV_BLOCK * k_all + o % CONV_BLOCK;
                for (size_t t = 0; t < a.n_taps; t++)
                    for (size_t k = 0; k < a.run; k++, w += CONV_BLOCK)
                        sum += a.taps[t][r * a.in_row + c * a.in_step + k] * *w;
                *out = sum;
            }
}

} // namespace mc::kernels
