// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// One number at a time: to bfloat16 and back, and as a Store keeps it.
#include <cmath>
#include <cstring>

#include "kernels/kernels.h"

namespace mc::kernels {

// To nearest, ties to even; a NaN is made quiet and kept.
inline bf16 rounded(float x) {
    uint32_t bits;
    std::memcpy(&bits, &x, sizeof bits);
    if (std::isnan(x)) return {static_cast<uint16_t>((bits >> 16) | 0x40)};
    return {static_cast<uint16_t>((bits + 0x7fff + ((bits >> 16) & 1)) >> 16)};
}

inline float widened(bf16 x) {
    const uint32_t bits = static_cast<uint32_t>(x.bits) << 16;
    float out;
    std::memcpy(&out, &bits, sizeof out);
    return out;
}

inline float round_as(float x, Store store) {
    return store == Store::F32 ? x : widened(rounded(x));
}

inline size_t element_bytes(Store store) {
    return store == Store::BF16 ? sizeof(bf16) : sizeof(float);
}

// Element i of something stored.
inline const void* element(const void* p, size_t i, Store store) {
    return static_cast<const char*>(p) + i * element_bytes(store);
}
inline void* element(void* p, size_t i, Store store) {
    return static_cast<char*>(p) + i * element_bytes(store);
}

inline float get(const void* p, size_t i, Store store) {
    return store == Store::BF16 ? widened(static_cast<const bf16*>(p)[i]) : static_cast<const float*>(p)[i];
}

inline void put(double x, void* p, size_t i, Store store) {
    if (store == Store::BF16)
        static_cast<bf16*>(p)[i] = rounded(static_cast<float>(x));
    else
        static_cast<float*>(p)[i] = round_as(static_cast<float>(x), store);
}

} // namespace mc::kernels
