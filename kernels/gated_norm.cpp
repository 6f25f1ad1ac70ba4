// SPDX-License-Identifier: LGPL-2.1-or-later
#include <cmath>
#include <vector>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/gated_norm.cpp"
#include <hwy/foreach_target.h>

#include "kernels/lanes-inl.h"

HWY_BEFORE_NAMESPACE();
namespace mc::kernels::HWY_NAMESPACE {

// Where a row's numbers lie about their mean.
struct Spread {
    V mean, scale;
};
template <class S>
HWY_INLINE Spread spread_of(const typename S::T* y, size_t width, float eps) {
    const F d;
    const float mean = sum_along(width, [&](size_t i, auto lanes, V sum)
                                            HWY_ATTR { return hn::Add(sum, get<S>(y + i, lanes)); }) /
                       static_cast<float>(width);
    const V vmean = hn::Set(d, mean);
    const float variance = sum_along(width,
                                     [&](size_t i, auto lanes, V sum) HWY_ATTR {
                                         const V off = only(hn::Sub(get<S>(y + i, lanes), vmean), lanes);
                                         return hn::MulAdd(off, off, sum);
                                     }) /
                           static_cast<float>(width);
    return {vmean, hn::Set(d, 1.f / std::sqrt(variance + eps))};
}

template <class S, class Out>
void gated_norm_rows(const GatedNorm& a) {
    using T = typename S::T;
    std::vector<float> row(a.width);
    float* const y = row.data();
    for (size_t r = 0; r < a.rows; r++) {
        T* x = static_cast<T*>(a.x) + r * a.x_stride;
        const float* delta = a.delta + r * a.delta_stride;
        const float* gate = a.gate + static_cast<size_t>(a.group[r]) * a.group_stride;
        along(a.width, [&](size_t i, auto lanes) HWY_ATTR {
            V step = get<StoreF32>(delta + i, lanes);
            if (a.round_delta) step = S::round(step);
            put<StoreF32>(hn::Mul(step, get<StoreF32>(gate + i, lanes)), y + i, lanes);
        });
        const Spread post = spread_of<StoreF32>(y, a.width, a.eps);
        along(a.width, [&](size_t i, auto lanes) HWY_ATTR {
            const V off = hn::Mul(hn::Sub(get<StoreF32>(y + i, lanes), post.mean), post.scale);
            const V step =
                hn::MulAdd(off, get<StoreF32>(a.post_gain + i, lanes), get<StoreF32>(a.post_bias + i, lanes));
            put<S>(hn::Add(get<S>(x + i, lanes), step), x + i, lanes);
        });
        const Spread next = spread_of<S>(x, a.width, a.eps);
        auto* out = static_cast<typename Out::T*>(a.out) + r * a.out_stride;
        along(a.width, [&](size_t i, auto lanes) HWY_ATTR {
            const V off = hn::Mul(hn::Sub(get<S>(x + i, lanes), next.mean), next.scale);
            put<Out>(hn::MulAdd(off, get<StoreF32>(a.gain + i, lanes), get<StoreF32>(a.bias + i, lanes)),
                     out + i, lanes);
        });
    }
}

template <class S>
void gated_norm_to(const GatedNorm& a) {
    a.out_is_float ? gated_norm_rows<S, StoreF32>(a) : gated_norm_rows<S, S>(a);
}

void gated_norm(const GatedNorm& a) {
    switch (a.store) {
    case Store::F32:
        return gated_norm_to<StoreF32>(a);
    case Store::BF16:
        return gated_norm_to<StoreBF16>(a);
    case Store::F32_AS_BF16:
        return gated_norm_to<StoreF32AsBF16>(a);
    }
}

} // namespace mc::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace mc::kernels {
HWY_EXPORT(gated_norm);
void gated_norm(const GatedNorm& a) {
    HWY_DYNAMIC_DISPATCH(gated_norm)(a);
}
} // namespace mc::kernels
#endif
