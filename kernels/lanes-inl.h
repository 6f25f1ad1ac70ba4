// SPDX-License-Identifier: LGPL-2.1-or-later
// Rows of any width as SIMD lanes of float32, from any storage type. Included once per Highway target.
#if defined(MC_KERNELS_LANES_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef MC_KERNELS_LANES_INL_H
#undef MC_KERNELS_LANES_INL_H
#else
#define MC_KERNELS_LANES_INL_H
#endif

#include <cstring>

#include <hwy/highway.h>

#include "kernels/kernels.h"
#include "kernels/tiles.h"

HWY_BEFORE_NAMESPACE();
namespace mc::kernels::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;
using F = hn::ScalableTag<float>;
using U = hn::RebindToUnsigned<F>;
using V = hn::Vec<F>;

// How many lanes a step of a loop covers: all of them, or the first n at the end of a row. The end goes
// through a buffer on the stack, because a masked load may read past the row on processors without one.
struct All {};
struct First {
    size_t n;
};

// The bits of each float32 rounded to bfloat16 (nearest, ties to even), in the upper half; the lower half is
// undefined. Integer arithmetic, because Highway's own bfloat16 demotion truncates. A NaN is made quiet and kept.
HWY_INLINE hn::Vec<U> round_bits(V v) {
    const F d;
    const U du;
    const auto bits = hn::BitCast(du, v);
    const auto odd = hn::And(hn::ShiftRight<16>(bits), hn::Set(du, 1));
    const auto rounded = hn::Add(bits, hn::Add(odd, hn::Set(du, 0x7fff)));
    const auto nan = hn::Or(bits, hn::Set(du, 0x400000));
    return hn::BitCast(du, hn::IfThenElse(hn::IsNaN(v), hn::BitCast(d, nan), hn::BitCast(d, rounded)));
}

// One per Store: the element type, reading, and writing. `put` returns what was stored, after rounding.
struct StoreF32 {
    using T = float;
    static HWY_INLINE V round(V v) { return v; }
    static HWY_INLINE V get(const float* p) { return hn::LoadU(F(), p); }
    static HWY_INLINE V put(V v, float* p) {
        hn::StoreU(v, F(), p);
        return v;
    }
};

struct StoreF32AsBF16 : StoreF32 {
    static HWY_INLINE V round(V v) {
        return hn::BitCast(F(), hn::And(round_bits(v), hn::Set(U(), 0xffff0000u)));
    }
    static HWY_INLINE V put(V v, float* p) { return StoreF32::put(round(v), p); }
};

struct StoreBF16 {
    using T = bf16;
    using U16 = hn::Rebind<uint16_t, F>;
    static HWY_INLINE V round(V v) { return StoreF32AsBF16::round(v); }
    static HWY_INLINE V get(const bf16* p) {
        const auto half = hn::LoadU(U16(), reinterpret_cast<const uint16_t*>(p));
        return hn::BitCast(F(), hn::ShiftLeft<16>(hn::PromoteTo(U(), half)));
    }
    static HWY_INLINE V put(V v, bf16* p) {
        const auto upper = hn::ShiftRight<16>(round_bits(v));
        const hn::RebindToSigned<U> di; // demotion is defined from signed; 16 bits never saturate
        hn::StoreU(hn::DemoteTo(U16(), hn::BitCast(di, upper)), U16(), reinterpret_cast<uint16_t*>(p));
        return hn::BitCast(F(), hn::ShiftLeft<16>(upper));
    }
};

// StoreBF16 where the processor rounds to bfloat16 (AVX-512 BF16), which this target does not say: to the same bits,
// but for float32 denormals, which become zero.
#undef MC_ROUNDS_BF16
#define MC_ROUNDS_BF16 (HWY_TARGET == HWY_AVX3)
#if MC_ROUNDS_BF16
struct StoreRoundedBF16 : StoreBF16 {
    static HWY_INLINE hn::Vec<U16> half(V v) {
        hn::Vec<U16> out;
        __asm__("vcvtneps2bf16 %1, %0" : "=v"(out.raw) : "v"(v.raw));
        return out;
    }
    static HWY_INLINE V widened(hn::Vec<U16> half) {
        return hn::BitCast(F(), hn::ShiftLeft<16>(hn::PromoteTo(U(), half)));
    }
    static HWY_INLINE V round(V v) { return widened(half(v)); }
    static HWY_INLINE V put(V v, bf16* p) {
        const auto stored = half(v);
        hn::StoreU(stored, U16(), reinterpret_cast<uint16_t*>(p));
        return widened(stored);
    }
};
#endif

// body(what there is to do with a store, one of the above)
template <class Body>
HWY_INLINE void by_store(Store store, Body body) {
    switch (store) {
    case Store::F32:
        return body(StoreF32());
    case Store::BF16:
#if MC_ROUNDS_BF16
        if (processor_has_bf16_dot()) return body(StoreRoundedBF16());
#endif
        return body(StoreBF16());
    case Store::F32_AS_BF16:
        return body(StoreF32AsBF16());
    }
}

template <class S>
HWY_INLINE V get(const typename S::T* p, All) {
    return S::get(p);
}
template <class S>
HWY_INLINE V get(const typename S::T* p, First tail) {
    typename S::T buffer[HWY_MAX_BYTES / sizeof(float)] = {};
    std::memcpy(buffer, p, tail.n * sizeof(buffer[0]));
    return S::get(buffer);
}
template <class S>
HWY_INLINE V put(V v, typename S::T* p, All) {
    return S::put(v, p);
}
template <class S>
HWY_INLINE V put(V v, typename S::T* p, First tail) {
    typename S::T buffer[HWY_MAX_BYTES / sizeof(float)];
    v = S::put(v, buffer);
    std::memcpy(p, buffer, tail.n * sizeof(buffer[0]));
    return v;
}

// Zero beyond the end of the row, so that sums do not count it.
HWY_INLINE V only(V v, All) {
    return v;
}
HWY_INLINE V only(V v, First tail) {
    return hn::IfThenElseZero(hn::FirstN(F(), tail.n), v);
}

// step(i, lanes) over [0, n).
template <class Step>
HWY_INLINE void along(size_t n, Step step) {
    const size_t lanes = hn::Lanes(F());
    size_t i = 0;
    for (; i + lanes <= n; i += lanes) step(i, All{});
    if (i < n) step(i, First{n - i});
}

// Sum of step(i, lanes, sum so far) over [0, n), in four sums so that no addition waits for the one before it.
template <class Step>
HWY_INLINE float sum_along(size_t n, Step step) {
    const F d;
    const size_t lanes = hn::Lanes(d);
    V a = hn::Zero(d), b = a, c = a, e = a;
    size_t i = 0;
    for (; i + 4 * lanes <= n; i += 4 * lanes) {
        a = step(i, All{}, a);
        b = step(i + lanes, All{}, b);
        c = step(i + 2 * lanes, All{}, c);
        e = step(i + 3 * lanes, All{}, e);
    }
    for (; i + lanes <= n; i += lanes) a = step(i, All{}, a);
    if (i < n) b = step(i, First{n - i}, b);
    return hn::GetLane(hn::SumOfLanes(d, hn::Add(hn::Add(a, b), hn::Add(c, e))));
}

} // namespace mc::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif
