// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// Row r of rows::Change.
#include "kernels/rows/row.h"

namespace mc::kernels::rows {

template <class T, class Lanes>
MC_HOST_DEVICE inline void change(const Change& a, size_t r, Lanes& lanes) {
    const T *const x = static_cast<const T*>(a.x) + r * a.x_stride, *const y = static_cast<const T*>(a.y) +
                                                                               r * a.y_stride;
    float moved = 0, size = 0;
    lanes.each(a.width, [&](size_t i, float* v) {
        float before[EIGHT];
        load(x + i, v), load(y + i, before);
        for (size_t k = 0; k < EIGHT; k++) moved += fabsf(v[k] - before[k]), size += fabsf(before[k]);
    });
    const float width = static_cast<float>(a.width);
    moved = lanes.sum(moved) / width, size = lanes.sum(size) / width;
    if (lanes.first()) a.change[r] = moved / (size + 1e-8f);
}

} // namespace mc::kernels::rows
