// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// Row r of rows::RmsRope.
#include "kernels/rows/row.h"

namespace mc::kernels::rows {

template <class T, class Lanes>
MC_HOST_DEVICE inline void rms_rope(const RmsRope& a, size_t r, Lanes& lanes) {
    const T* const in = static_cast<const T*>(a.in) + r * a.in_stride;
    T* const out = static_cast<T*>(a.out) + (a.slot ? static_cast<size_t>(a.slot[r]) : r) * a.out_stride;
    float squares = 0;
    lanes.each(a.width, [&](size_t i, float* v) {
        load(in + i, v);
        for (size_t k = 0; k < EIGHT; k++) squares += v[k] * v[k];
    });
    const float scale = a.gain ? 1 / sqrtf(lanes.sum(squares) / static_cast<float>(a.width) + a.eps) : 1;
    const size_t angles = a.cosine ? (a.position ? static_cast<size_t>(a.position[r]) : r) * (a.head / 2) : 0;
    lanes.each(a.width, [&](size_t i, float* v) {
        if (a.gain) {
            float gain[EIGHT];
            load(a.gain + i, gain);
            for (size_t k = 0; k < EIGHT; k++) v[k] = round_to(v[k] * scale * gain[k], out);
        }
        if (a.cosine) {
            const size_t first = angles + i % a.head / 2;
            const auto c = *reinterpret_cast<const Packet<float>*>(a.cosine + first),
                       s = *reinterpret_cast<const Packet<float>*>(a.sine + first);
            for (size_t p = 0; p < EIGHT / 2; p++) {
                const float even = v[2 * p], odd = v[2 * p + 1];
                v[2 * p] = even * c.at[p] - odd * s.at[p];
                v[2 * p + 1] = even * s.at[p] + odd * c.at[p];
            }
        }
        store(v, out + i);
    });
}

} // namespace mc::kernels::rows
