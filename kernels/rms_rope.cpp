// SPDX-License-Identifier: LGPL-2.1-or-later
#include <cmath>
#include <type_traits>
#include <vector>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/rms_rope.cpp"
#include <hwy/foreach_target.h>

#include "kernels/lanes-inl.h"

HWY_BEFORE_NAMESPACE();
namespace mc::kernels::HWY_NAMESPACE {

#if HWY_TARGET == HWY_SCALAR
// This target has one lane, and rotation swaps the two of a pair.
void rms_rope(const RmsRope& a) {
    plain::rms_rope(a);
}
#else

// One row's angles as the heads use them: [c0 c0 c1 c1 ...] and [-s0 s0 -s1 s1 ...], so that a pair is
// rotated by two multiplications and one swap of neighbours.
HWY_INLINE void spread(const float* cosine, const float* sine, size_t pairs, float* cc, float* ss) {
    size_t p = 0;
#if HWY_TARGET == HWY_AVX3
    const hn::Half<F> half;
    const hn::RebindToUnsigned<hn::Half<F>> du;
    const hn::Repartition<uint64_t, F> two;
    for (; p + hn::Lanes(half) <= pairs; p += hn::Lanes(half)) {
        const auto c = hn::PromoteTo(two, hn::BitCast(du, hn::LoadU(half, cosine + p)));
        const auto s = hn::PromoteTo(two, hn::BitCast(du, hn::LoadU(half, sine + p)));
        hn::StoreU(hn::BitCast(F(), hn::Or(c, hn::ShiftLeft<32>(c))), F(), cc + 2 * p);
        const auto negative = hn::Xor(s, hn::Set(two, 0x80000000));
        hn::StoreU(hn::BitCast(F(), hn::Or(negative, hn::ShiftLeft<32>(s))), F(), ss + 2 * p);
    }
#endif
    for (; p < pairs; p++) {
        cc[2 * p] = cc[2 * p + 1] = cosine[p];
        ss[2 * p] = -sine[p];
        ss[2 * p + 1] = sine[p];
    }
}

template <class S>
void rms_rope_rows(const RmsRope& a) {
    using T = typename S::T;
    const F d;
    // Where numbers are rounded, a row of them as float32: it is read twice.
    constexpr bool rounds = !std::is_same_v<S, StoreF32>;
    std::vector<float> row(rounds ? a.width : 0), angles(a.cosine ? 2 * a.head : 0);
    float* cc = angles.data();
    float* ss = cc + a.head;
    for (size_t r = 0; r < a.rows; r++) {
        const float* in = a.in + r * a.in_stride;
        T* out = static_cast<T*>(a.out) + r * a.out_stride;
        const float* const x = rounds ? row.data() : in;
        const float squares = sum_along(a.width, [&](size_t i, auto lanes, V sum) HWY_ATTR {
            const V v = S::round(get<StoreF32>(in + i, lanes));
            if (rounds) put<StoreF32>(v, row.data() + i, lanes);
            return hn::MulAdd(v, v, sum);
        });
        const V scale = hn::Set(d, 1.f / std::sqrt(squares / static_cast<float>(a.width) + a.eps));
        const auto normed = [&](size_t i, auto lanes) HWY_ATTR {
            return hn::Mul(hn::Mul(get<StoreF32>(x + i, lanes), scale), get<StoreF32>(a.gain + i, lanes));
        };
        if (!a.cosine) {
            along(a.width, [&](size_t i, auto lanes) HWY_ATTR { put<S>(normed(i, lanes), out + i, lanes); });
            continue;
        }
        const size_t position = a.position ? a.position[r] : r;
        const size_t pairs = a.head / 2;
        spread(a.cosine + position * pairs, a.sine + position * pairs, pairs, cc, ss);
        for (size_t h = 0; h < a.width; h += a.head) {
            along(a.head, [&](size_t i, auto lanes) HWY_ATTR {
                const V y = S::round(normed(h + i, lanes));
                const V crossed = hn::Mul(hn::Shuffle2301(y), get<StoreF32>(ss + i, lanes));
                put<S>(hn::MulAdd(y, get<StoreF32>(cc + i, lanes), crossed), out + h + i, lanes);
            });
        }
    }
}

void rms_rope(const RmsRope& a) {
    by_store(a.store, [&](auto s) HWY_ATTR { rms_rope_rows<decltype(s)>(a); });
}

#endif

} // namespace mc::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace mc::kernels {
HWY_EXPORT(rms_rope);
void rms_rope(const RmsRope& a) {
    HWY_DYNAMIC_DISPATCH(rms_rope)(a);
}
} // namespace mc::kernels
#endif
