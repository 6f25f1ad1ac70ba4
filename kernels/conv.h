// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// Convolution of channels-last float32 pictures, written as a sum over taps. A tap is a run of consecutive
// floats of the input: the columns of the filter that touch, times the input's channels. Which pictures and
// rows the taps lie in is up to the caller, so one kernel serves 3x3x3 (nine taps of 3*channels), time
// only (three taps of `channels`), 1x1 (one tap), stride two and the four phases of nearest-neighbour doubling.
//
//     out[r][c][o] = (add ? out[r][c][o] : 0) + bias[o]
//                    + sum over t, k of taps[t][r*in_row + c*in_step + k] * weights[t][k][o]
//
// Every output is one chain of fused multiply-adds in this order, for any rows and columns of the call:
// the result does not depend on how the caller divides the picture.
#include <cstddef>

namespace mc::kernels {

// Outputs are computed in blocks of this many channels; packed weights are padded with zeros up to it.
constexpr size_t CONV_BLOCK = 16;

struct Conv {
    const float* const* taps; // [n_taps]
    size_t n_taps, run;
    size_t in_step, in_row; // floats in the input from one output position, or row of them, to the next
    const float* weights;   // of pack_conv
    const float* bias;      // [out_channels]
    float* out;             // must not overlap the input
    size_t out_step, out_row;
    size_t rows, columns, out_channels;
    bool add;
};
void conv(const Conv& a);

// weights: [k][out_channels], k = n_taps * run. packed: conv_packed_size(k, out_channels) floats.
size_t conv_packed_size(size_t k, size_t out_channels);
void pack_conv(const float* weights, size_t k, size_t out_channels, float* packed);

namespace plain {
void conv(const Conv& a);
}

} // namespace mc::kernels
