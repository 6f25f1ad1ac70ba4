// SPDX-License-Identifier: LGPL-2.1-or-later
// The plain versions of head_norm, gated_norm, silu_gate, gelu_erf and round_to_e4m3: see plain.cpp.
#include <algorithm>
#include <cmath>
#include <vector>

#include "kernels/bf16.h"
#include "kernels/kernels.h"

namespace mc::kernels::plain {

namespace {

// In place: to mean 0 and variance 1.
void normalise(std::vector<double>& y, float eps) {
    double mean = 0, variance = 0;
    for (double v : y) mean += v;
    mean /= static_cast<double>(y.size());
    for (double v : y) variance += (v - mean) * (v - mean);
    variance /= static_cast<double>(y.size());
    for (double& v : y) v = (v - mean) / std::sqrt(variance + eps);
}

// Of a number that is not larger than 448: a multiple of the step between its neighbours, of which below 1/64 there is
// one.
double nearest_e4m3(double y) {
    int exponent;
    std::frexp(y, &exponent); // y = m 2^exponent, m in [1/2, 1)
    const double step = std::ldexp(1., std::max(exponent - 4, -9));
    return std::nearbyint(y / step) * step;
}

} // namespace

void gelu_erf(const float* in, size_t in_stride, void* out, size_t out_stride, size_t rows, size_t width,
              Store store) {
    for (size_t r = 0; r < rows; r++)
        for (size_t i = 0; i < width; i++) {
            const double x = round_as(in[r * in_stride + i], store);
            put(x == -INFINITY ? -0. : x * std::erfc(-x / std::sqrt(2.)) / 2, out, r * out_stride + i, store);
        }
}

void silu_gate(const float* u, size_t u_stride, const float* v, size_t v_stride, void* out, size_t out_stride,
               size_t rows, size_t width, Store store) {
    for (size_t r = 0; r < rows; r++)
        for (size_t i = 0; i < width; i++) {
            const double x = round_as(u[r * u_stride + i], store), y = round_as(v[r * v_stride + i], store);
            put((x == -INFINITY ? -0. : x / (1 + std::exp(-x))) * y, out, r * out_stride + i, store);
        }
}

void head_norm(const HeadNorm& a) {
    std::vector<double> y(a.head);
    for (size_t r = 0; r < a.rows; r++)
        for (size_t h = 0; h < a.width; h += a.head) {
            for (size_t i = 0; i < a.head; i++) y[i] = round_as(a.in[r * a.in_stride + h + i], a.store);
            normalise(y, a.eps);
            for (size_t i = 0; i < a.head; i++) y[i] = y[i] * a.gain[i] + a.bias[i];
            for (size_t p = 0; a.cosine && p < a.angles; p++) {
                const size_t angle = static_cast<size_t>(a.position[r]) * a.angles + p;
                const double c = a.cosine[angle], s = a.sine[angle], first = y[p], second = y[p + a.angles];
                y[p] = first * c - second * s;
                y[p + a.angles] = first * s + second * c;
            }
            for (size_t i = 0; i < a.head; i++) put(y[i], a.out, r * a.out_stride + h + i, a.store);
        }
}

void gated_norm(const GatedNorm& a) {
    std::vector<double> y(a.width);
    for (size_t r = 0; r < a.rows; r++) {
        const float* gate = a.gate + static_cast<size_t>(a.group[r]) * a.group_stride;
        for (size_t i = 0; i < a.width; i++) {
            const float delta = a.delta[r * a.delta_stride + i];
            y[i] = static_cast<double>(a.round_delta ? round_as(delta, a.store) : delta) * gate[i];
        }
        normalise(y, a.eps);
        for (size_t i = 0; i < a.width; i++) {
            const size_t at = r * a.x_stride + i;
            put(get(a.x, at, a.store) + y[i] * a.post_gain[i] + a.post_bias[i], a.x, at, a.store);
            y[i] = get(a.x, at, a.store);
        }
        normalise(y, a.eps);
        for (size_t i = 0; i < a.width; i++)
            put(y[i] * a.gain[i] + a.bias[i], a.out, r * a.out_stride + i,
                a.out_is_float ? Store::F32 : a.store);
    }
}

void round_to_e4m3(const void* in, size_t in_stride, const float* scale, void* out, size_t out_stride,
                   size_t rows, size_t width, Store store) {
    for (size_t r = 0; r < rows; r++)
        for (size_t i = 0; i < width; i++) {
            const float x = get(in, r * in_stride + i, store) / scale[i];
            const float y = x < -448 ? -448 : x > 448 ? 448 : x;
            put(nearest_e4m3(widened(rounded(y))), out, r * out_stride + i, store);
        }
}

} // namespace mc::kernels::plain
