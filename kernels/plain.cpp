// SPDX-License-Identifier: LGPL-2.1-or-later
// The plain versions: one element at a time, sums in double so that they also say what the optimised ones'
// lane-wise float32 sums lose.
#include "kernels/kernels.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "kernels/bf16.h"
#include "kernels/pixel.h"

namespace mc::kernels::plain {

namespace {

// -0 is the limit at -infinity, where the formulas would divide infinity by infinity.
double silu(double x) {
    return x == -INFINITY ? -0.0 : x / (1 + std::exp(-x));
}

// (1 + tanh u) / 2 = 1 / (1 + e^-2u), which keeps its digits where tanh is near -1.
double gelu_tanh(double x) {
    const double u = std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x);
    return x == -INFINITY ? -0.0 : x / (1 + std::exp(-2 * u));
}

} // namespace

void residual_norm(const ResidualNorm& a) {
    for (size_t r = 0; r < a.rows; r++) {
        void* const x = element(a.x, r * a.x_stride, a.store);
        if (a.delta) {
            const size_t group = (a.group ? a.group[r] : 0) * a.group_stride;
            for (size_t i = 0; i < a.width; i++) {
                float step = round_as(a.delta[r * a.delta_stride + i], a.store);
                if (a.gate) step *= a.gate[group + i];
                put(get(x, i, a.store) + step, x, i, a.store);
            }
        }
        if (!a.out) continue;
        const size_t group = (a.group_norm ? a.group_norm[r] : 0) * a.group_stride;
        double mean = 0, variance = 0;
        for (size_t i = 0; i < a.width; i++) mean += get(x, i, a.store);
        mean /= a.width;
        for (size_t i = 0; i < a.width; i++) {
            const double off = get(x, i, a.store) - mean;
            variance += off * off;
        }
        variance /= a.width;
        for (size_t i = 0; i < a.width; i++) {
            const double y = (get(x, i, a.store) - mean) / std::sqrt(variance + a.eps);
            put(y * a.mult[group + i] + a.add[group + i], a.out, r * a.out_stride + i, a.store);
        }
    }
}

void rms_rope(const RmsRope& a) {
    std::vector<float> y(a.width);
    for (size_t r = 0; r < a.rows; r++) {
        double squares = 0;
        for (size_t i = 0; i < a.width; i++) {
            y[i] = round_as(a.in[r * a.in_stride + i], a.store);
            squares += static_cast<double>(y[i]) * y[i];
        }
        const double scale = 1 / std::sqrt(squares / a.width + a.eps);
        for (size_t i = 0; i < a.width; i++) y[i] = round_as(y[i] * scale * a.gain[i], a.store);
        if (a.cosine) {
            const size_t pairs = a.head / 2, angles = (a.position ? a.position[r] : r) * pairs;
            for (size_t i = 0; i < a.width; i += 2) {
                const float c = a.cosine[angles + i / 2 % pairs], s = a.sine[angles + i / 2 % pairs];
                const float even = y[i], odd = y[i + 1];
                y[i] = even * c - odd * s;
                y[i + 1] = even * s + odd * c;
            }
        }
        for (size_t i = 0; i < a.width; i++) put(y[i], a.out, r * a.out_stride + i, a.store);
    }
}

void gelu(const float* in, size_t in_stride, void* out, size_t out_stride, size_t rows, size_t width,
          Store store) {
    for (size_t r = 0; r < rows; r++)
        for (size_t i = 0; i < width; i++)
            put(gelu_tanh(round_as(in[r * in_stride + i], store)), out, r * out_stride + i, store);
}

void frame_change(const void* x, size_t x_stride, const void* y, size_t y_stride, size_t rows, size_t width,
                  Store store, float* change) {
    for (size_t r = 0; r < rows; r++) {
        double moved = 0, size = 0;
        for (size_t i = 0; i < width; i++) {
            const double before = get(y, r * y_stride + i, store);
            moved += std::fabs(get(x, r * x_stride + i, store) - before);
            size += std::fabs(before);
        }
        change[r] = static_cast<float>(moved / width / (size / width + 1e-8));
    }
}

void channel_norm(const float* x, const float* gamma, float* out, size_t rows, size_t channels,
                  bool with_silu) {
    for (size_t r = 0; r < rows; r++, x += channels, out += channels) {
        double squares = 0;
        for (size_t i = 0; i < channels; i++) squares += static_cast<double>(x[i]) * x[i];
        // written so that a NaN among the channels stays one
        const double norm = std::sqrt(squares), root = std::sqrt(static_cast<double>(channels));
        for (size_t i = 0; i < channels; i++) {
            const double y = x[i] / (norm < 1e-12 ? 1e-12 : norm) * root * gamma[i];
            out[i] = static_cast<float>(with_silu ? silu(y) : y);
        }
    }
}

void reuse(const Reuse& a) {
    for (size_t t = 0; t < a.rows; t++) {
        const bool computed = a.row[t] >= 0;
        const float passed = a.level ? a.level_now - a.level[t] : 0; // NaN: never computed before
        for (size_t i = 0; i < a.width; i++) {
            const size_t at = t * a.width + i;
            const float in = get(a.in, at, a.store);
            if (!computed) {
                put(in + get(a.residual, at, a.store) + (a.slope ? get(a.slope, at, a.store) * passed : 0),
                    a.out, at, a.store);
                continue;
            }
            const float x = get(a.x, a.row[t] * a.width + i, a.store);
            put(x, a.out, at, a.store);
            if (!a.residual) continue;
            const float fresh = round_as(x - in, a.store);
            const bool moved = passed < 0 || passed > 0;
            if (a.slope)
                put(moved ? (fresh - get(a.residual, at, a.store)) / passed : 0, a.slope, at, a.store);
            put(fresh, a.residual, at, a.store);
        }
        if (computed && a.level) a.level[t] = a.level_now;
    }
}

void to_bf16(const float* in, bf16* out, size_t n) {
    std::transform(in, in + n, out, rounded);
}

void from_bf16(const bf16* in, float* out, size_t n) {
    std::transform(in, in + n, out, widened);
}

void round_to_bf16(float* x, size_t n) {
    for (size_t i = 0; i < n; i++) x[i] = widened(rounded(x[i]));
}

void picture_to_rgb(const Picture& p, uint8_t* rgb, size_t stride) {
    const pixel::Planes in{p.rgb, p.plane_stride, p.width};
    for (size_t y = 0; y < p.height; y++)
        for (size_t x = 0; x < p.width; x++) pixel::write_rgb(in, x, y, {rgb, stride});
}

namespace {

void write_blocks(const Picture& p, const pixel::Subsampled& out) {
    const pixel::Planes in{p.rgb, p.plane_stride, p.width};
    for (size_t j = 0; j < p.height / 2; j++)
        for (size_t i = 0; i < p.width / 2; i++) pixel::write_block(in, i, j, out);
}

} // namespace

void picture_to_i420(const Picture& p, uint8_t* const planes[3], const size_t strides[3]) {
    write_blocks(p, {planes[0], planes[1], planes[2], strides[0], strides[1], strides[2], 1});
}

void picture_to_nv12(const Picture& p, uint8_t* const planes[2], const size_t strides[2]) {
    write_blocks(p, {planes[0], planes[1], planes[1] + 1, strides[0], strides[1], strides[1], 2});
}

} // namespace mc::kernels::plain
