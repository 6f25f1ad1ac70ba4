// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// Row r of rows::ResidualNorm.
#include "kernels/rows/row.h"

namespace mc::kernels::rows {

template <class T, class Lanes>
MC_HOST_DEVICE inline void residual_norm(const ResidualNorm& a, size_t r, Lanes& lanes) {
    T* const x = static_cast<T*>(a.x) + r * a.x_stride;
    const T* const delta = a.delta ? static_cast<const T*>(a.delta) + r * a.delta_stride : nullptr;
    const size_t group = a.group ? static_cast<size_t>(a.group[r]) : 0;
    const float* const gate = a.gate ? a.gate + group * a.gate_stride : nullptr;
    float sum = 0;
    lanes.each(a.width, [&](size_t i, float* v) {
        load(x + i, v);
        if (delta) {
            float step[EIGHT], share[EIGHT];
            load(delta + i, step);
            if (gate) load(gate + i, share);
            for (size_t k = 0; k < EIGHT; k++) v[k] += gate ? share[k] * step[k] : step[k];
            store(v, x + i);
        }
        for (size_t k = 0; k < EIGHT; k++) sum += v[k];
    });
    if (!a.out) return;
    const float width = static_cast<float>(a.width), mean = lanes.sum(sum) / width;
    float squares = 0;
    lanes.each(a.width, [&](size_t, const float* v) {
        for (size_t k = 0; k < EIGHT; k++) squares += (v[k] - mean) * (v[k] - mean);
    });
    const float scale = 1 / sqrtf(lanes.sum(squares) / width + a.eps);
    const float *const mult = a.mult + group * a.norm_stride, *const add = a.add + group * a.norm_stride;
    T* const out = static_cast<T*>(a.out) + r * a.out_stride;
    lanes.each(a.width, [&](size_t i, float* v) {
        float m[EIGHT], s[EIGHT];
        load(mult + i, m), load(add + i, s);
        for (size_t k = 0; k < EIGHT; k++) v[k] = (v[k] - mean) * scale * (a.base + m[k]) + s[k];
        store(v, out + i);
    });
}

} // namespace mc::kernels::rows
