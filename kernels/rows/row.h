// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// How a row is read, held and written. The arithmetic of a row is a template over the type in memory and over who works
// on it: one thread alone (One, here), or the 32 of a warp (kernels/cuda/row_kernels.cu), each on eight neighbouring
// elements at a time.
#include <cmath>
#include <cstring>

#include "kernels/host_device.h"
#include "kernels/rows/rows.h"

namespace mc::kernels::rows {

MC_HOST_DEVICE inline float widen(bf16 x) {
    const uint32_t bits = static_cast<uint32_t>(x.bits) << 16;
    float out;
    memcpy(&out, &bits, sizeof out);
    return out;
}
// To nearest, ties to even; a NaN stays one.
MC_HOST_DEVICE inline bf16 narrow(float x) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
    bf16 out;
    asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(out.bits) : "f"(x));
    return out;
#else
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    if (x != x) return {static_cast<uint16_t>((bits >> 16) | 0x40)};
    return {static_cast<uint16_t>((bits + 0x7fff + ((bits >> 16) & 1)) >> 16)};
#endif
}

// What one load or store takes, of 16 bytes where nothing else is said.
template <class T, size_t N = 16 / sizeof(T)>
struct alignas(N * sizeof(T)) Packet {
    T at[N];
};

MC_HOST_DEVICE inline void load(const float* from, float* v) {
    for (int half = 0; half < 2; half++) {
        const auto p = reinterpret_cast<const Packet<float>*>(from)[half];
        for (int k = 0; k < 4; k++) v[4 * half + k] = p.at[k];
    }
}
MC_HOST_DEVICE inline void load(const bf16* from, float* v) {
    const auto p = *reinterpret_cast<const Packet<bf16>*>(from);
    for (int k = 0; k < 8; k++) v[k] = widen(p.at[k]);
}

// Rounded as the type keeps it, in v as well.
MC_HOST_DEVICE inline void store(float* v, float* to) {
    for (int half = 0; half < 2; half++) {
        Packet<float> p;
        for (int k = 0; k < 4; k++) p.at[k] = v[4 * half + k];
        reinterpret_cast<Packet<float>*>(to)[half] = p;
    }
}
MC_HOST_DEVICE inline void store(float* v, bf16* to) {
    Packet<bf16> p;
    for (int k = 0; k < 8; k++) p.at[k] = narrow(v[k]), v[k] = widen(p.at[k]);
    *reinterpret_cast<Packet<bf16>*>(to) = p;
}
MC_HOST_DEVICE inline float round_to(float x, const float*) {
    return x;
}
MC_HOST_DEVICE inline float round_to(float x, const bf16*) {
    return widen(narrow(x));
}

// One thread for a whole row, which it keeps in memory of the caller's: [MOST_WIDTH].
struct One {
    float* held;

    // body(i, v): elements [i, i + 8) of the row, and where they are held.
    template <class F>
    void each(size_t width, const F& body) {
        for (size_t i = 0; i < width; i += EIGHT) body(i, held + i);
    }
    float sum(float mine) const { return mine; }
    float most(float mine) const { return mine; } // a NaN where one has it
    bool first() const { return true; }           // of those who work on the row
};

} // namespace mc::kernels::rows
