// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// Group g of row r of rows::Codes, and row r.
#include "kernels/rows/row.h"

namespace mc::kernels::rows {

MC_HOST_DEVICE inline size_t place(const Codes& a, size_t r) {
    return a.slot ? static_cast<size_t>(a.slot[r]) : r;
}

// A NaN or infinity in a group makes all of it NaN: it shall be seen, not saturate.
template <class T, class Lanes>
MC_HOST_DEVICE inline void quantize(const Codes& a, size_t r, size_t g, Lanes& lanes) {
    const size_t at = place(a, r), first = at * a.width + g * a.group;
    const T* const in = static_cast<const T*>(a.rows) + first;
    float most = 0;
    lanes.each(a.group, [&](size_t i, float* v) {
        load(in + i, v);
        for (size_t k = 0; k < EIGHT; k++) {
            const float size = fabsf(v[k]);
            most = most != most || size <= most ? most : size;
        }
    });
    most = lanes.most(most);
    const float scale = most / 127, back = most > LEAST_CODED ? 127 / most : 0;
    lanes.each(a.group, [&](size_t i, const float* v) {
        Packet<int8_t, EIGHT> codes;
        for (size_t k = 0; k < EIGHT; k++)
            codes.at[k] = static_cast<int8_t>(rintf(most < INFINITY ? v[k] * back : 0));
        *reinterpret_cast<Packet<int8_t, EIGHT>*>(a.code + first + i) = codes;
    });
    if (lanes.first()) a.scale[at * (a.width / a.group) + g] = most < INFINITY ? scale : NAN;
}

template <class T, class Lanes>
MC_HOST_DEVICE inline void restore(const Codes& a, size_t r, Lanes& lanes) {
    const size_t at = place(a, r);
    const int8_t* const code = a.code + at * a.width;
    const float* const scale = a.scale + at * (a.width / a.group);
    T* const out = static_cast<T*>(a.rows) + at * a.width;
    lanes.each(a.width, [&](size_t i, float* v) {
        const auto codes = *reinterpret_cast<const Packet<int8_t, EIGHT>*>(code + i);
        const float share = scale[i / a.group];
        for (size_t k = 0; k < EIGHT; k++) v[k] = share * static_cast<float>(codes.at[k]);
        store(v, out + i);
    });
}

} // namespace mc::kernels::rows
