// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// Token t of kernels::Reuse.
#include "kernels/rows/row.h"

namespace mc::kernels::rows {

template <class T, class Lanes>
MC_HOST_DEVICE inline void reuse(const Reuse& a, size_t t, Lanes& lanes) {
    const size_t first = t * a.width;
    const bool computed = a.row[t] >= 0;
    const T* const in = static_cast<const T*>(a.in) + first;
    const T* const x =
        computed ? static_cast<const T*>(a.x) + static_cast<size_t>(a.row[t]) * a.width : nullptr;
    T* const residual = a.residual ? static_cast<T*>(a.residual) + first : nullptr;
    T* const slope = a.slope ? static_cast<T*>(a.slope) + first : nullptr;
    T* const out = static_cast<T*>(a.out) + first;
    const float passed = a.level ? a.level_now - a.level[t] : 0; // NaN: never computed before
    const bool moved = passed < 0 || passed > 0;
    lanes.each(a.width, [&](size_t i, float* v) {
        float from[EIGHT], kept[EIGHT], change[EIGHT];
        if (residual) load(in + i, from);
        if (residual && (!computed || slope)) load(residual + i, kept);
        if (!computed) {
            if (slope) load(slope + i, change);
            for (size_t k = 0; k < EIGHT; k++) v[k] = from[k] + kept[k] + (slope ? change[k] * passed : 0);
            store(v, out + i);
            return;
        }
        load(x + i, v);
        store(v, out + i);
        if (!residual) return;
        for (size_t k = 0; k < EIGHT; k++) {
            from[k] = round_to(v[k] - from[k], out);
            change[k] = slope && moved ? (from[k] - kept[k]) / passed : 0;
        }
        if (slope) store(change, slope + i);
        store(from, residual + i);
    });
    lanes.sum(0); // all have read the level
    if (computed && a.level && lanes.first()) a.level[t] = a.level_now;
}

} // namespace mc::kernels::rows
