// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// The arithmetic of one pixel, for the plain CPU code and for CUDA: colour conversion has one definition.
//
// RGB to YCbCr is BT.709, limited range, in fixed point: luma in 16 bits, chroma in 14 bits over the eight
// weighted pixels of a sample. Every product and sum stays below 2^24, so float32 computes the same integers,
// fused or not; a result is at most 0.506 from the real value (0.5 is rounding itself). Greys have chroma 128.
#include <cstddef>
#include <cstdint>

#include "kernels/host_device.h"

namespace mc::kernels::pixel {

// Parts of 2^16: 219/255 of (0.2126, 0.7152, 0.0722).
constexpr int32_t LUMA_R = 11966, LUMA_G = 40254, LUMA_B = 4064;
// Parts of 2^14: 224/255 of (b - y)/1.8556 and (r - y)/1.5748.
constexpr int32_t CB_R = -1649, CB_G = -5547, CB_B = 7196;
constexpr int32_t CR_R = 7196, CR_G = -6536, CR_B = -660;

struct Rgb {
    int32_t r, g, b;
};

// [-1, 1] to 0..255 by truncation, clamped; NaN is black.
MC_HOST_DEVICE inline int32_t to_8bit(float x) {
    const float unit = x * 0.5f + 0.5f; // the product is exact: fused or not, one rounding
    return unit > 0.f ? static_cast<int32_t>((unit < 1.f ? unit : 1.f) * 255.f) : 0;
}

MC_HOST_DEVICE inline uint8_t luma(Rgb p) {
    return static_cast<uint8_t>((p.r * LUMA_R + p.g * LUMA_G + p.b * LUMA_B + (16 << 16) + (1 << 15)) >> 16);
}

// Sums of a chroma sample: columns 2i-1, 2i, 2i+1 of both rows, weights 1, 2, 1 (eight in all).
MC_HOST_DEVICE inline Rgb chroma_sum(Rgb left, Rgb here, Rgb right) {
    return {left.r + 2 * here.r + right.r, left.g + 2 * here.g + right.g, left.b + 2 * here.b + right.b};
}
MC_HOST_DEVICE inline Rgb add(Rgb a, Rgb b) {
    return {a.r + b.r, a.g + b.g, a.b + b.b};
}
MC_HOST_DEVICE inline uint8_t cb(Rgb s) {
    return static_cast<uint8_t>((s.r * CB_R + s.g * CB_G + s.b * CB_B + (128 << 17) + (1 << 16)) >> 17);
}
MC_HOST_DEVICE inline uint8_t cr(Rgb s) {
    return static_cast<uint8_t>((s.r * CR_R + s.g * CR_G + s.b * CR_B + (128 << 17) + (1 << 16)) >> 17);
}

// Three planes of floats as 8-bit pixels.
struct Planes {
    const float* rgb;
    size_t plane_stride, width;

    MC_HOST_DEVICE Rgb at(size_t x, size_t y) const {
        const float* p = rgb + y * width + x;
        return {to_8bit(p[0]), to_8bit(p[plane_stride]), to_8bit(p[2 * plane_stride])};
    }
};

struct Packed {
    uint8_t* rgb;
    size_t stride;
};

// Chroma samples are `step` bytes apart: 1 in I420, 2 in NV12.
struct Subsampled {
    uint8_t *luma, *cb, *cr;
    size_t luma_stride, cb_stride, cr_stride, step;
};

MC_HOST_DEVICE inline void write_rgb(const Planes& in, size_t x, size_t y, const Packed& out) {
    const Rgb p = in.at(x, y);
    uint8_t* to = out.rgb + y * out.stride + 3 * x;
    to[0] = static_cast<uint8_t>(p.r);
    to[1] = static_cast<uint8_t>(p.g);
    to[2] = static_cast<uint8_t>(p.b);
}

// Four luma samples and the chroma sample (i, j) among them; left of the picture its edge repeats.
MC_HOST_DEVICE inline void write_block(const Planes& in, size_t i, size_t j, const Subsampled& out) {
    Rgb sum{0, 0, 0};
    for (size_t y = 2 * j; y < 2 * j + 2; y++) {
        const Rgb here = in.at(2 * i, y), right = in.at(2 * i + 1, y);
        uint8_t* luma_row = out.luma + y * out.luma_stride + 2 * i;
        luma_row[0] = luma(here);
        luma_row[1] = luma(right);
        sum = add(sum, chroma_sum(i ? in.at(2 * i - 1, y) : here, here, right));
    }
    out.cb[j * out.cb_stride + i * out.step] = cb(sum);
    out.cr[j * out.cr_stride + i * out.step] = cr(sum);
}

} // namespace mc::kernels::pixel
