// SPDX-License-Identifier: LGPL-2.1-or-later
#include <cmath>
#include <vector>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/residual_norm.cpp"
#include <hwy/foreach_target.h>

#include "kernels/lanes-inl.h"

HWY_BEFORE_NAMESPACE();
namespace mc::kernels::HWY_NAMESPACE {

template <class S>
void residual_norm_rows(const ResidualNorm& a) {
    using T = typename S::T;
    const F d;
    const size_t width = a.width;
    // A row of two bytes a number once more as float32: it is read three times.
    constexpr bool widened = sizeof(T) < sizeof(float);
    std::vector<float> row(widened ? width : 0);
    for (size_t r = 0; r < a.rows; r++) {
        T* x = static_cast<T*>(a.x) + r * a.x_stride;
        float* const y = widened ? row.data() : reinterpret_cast<float*>(x);
        if (a.delta) {
            const float* delta = a.delta + r * a.delta_stride;
            const float* gate = a.gate ? a.gate + (a.group ? a.group[r] : 0) * a.group_stride : nullptr;
            along(width, [&](size_t i, auto lanes) HWY_ATTR {
                V step = S::round(get<StoreF32>(delta + i, lanes));
                if (gate) step = hn::Mul(step, get<StoreF32>(gate + i, lanes));
                const V sum = put<S>(hn::Add(get<S>(x + i, lanes), step), x + i, lanes);
                if (widened) put<StoreF32>(sum, y + i, lanes);
            });
        } else if (widened) {
            along(width, [&](size_t i, auto lanes) HWY_ATTR { put<StoreF32>(get<S>(x + i, lanes), y + i, lanes); });
        }
        if (!a.out) continue;
        // The row is in the first-level cache now: reading it again costs less than the digits that the
        // difference of two big sums would lose.
        const float mean = sum_along(width, [&](size_t i, auto lanes, V sum)
                                                HWY_ATTR { return hn::Add(sum, get<StoreF32>(y + i, lanes)); }) /
                           static_cast<float>(width);
        const V vmean = hn::Set(d, mean);
        const float variance = sum_along(width,
                                         [&](size_t i, auto lanes, V sum) HWY_ATTR {
                                             const V off = only(hn::Sub(get<StoreF32>(y + i, lanes), vmean), lanes);
                                             return hn::MulAdd(off, off, sum);
                                         }) /
                               static_cast<float>(width);
        const V scale = hn::Set(d, 1.f / std::sqrt(variance + a.eps));
        const size_t group = (a.group_norm ? a.group_norm[r] : 0) * a.group_stride;
        const float* mult = a.mult + group;
        const float* add = a.add + group;
        T* out = static_cast<T*>(a.out) + r * a.out_stride;
        along(width, [&](size_t i, auto lanes) HWY_ATTR {
            const V off = hn::Mul(hn::Sub(get<StoreF32>(y + i, lanes), vmean), scale);
            put<S>(hn::MulAdd(off, get<StoreF32>(mult + i, lanes), get<StoreF32>(add + i, lanes)), out + i,
                   lanes);
        });
    }
}

void residual_norm(const ResidualNorm& a) {
    by_store(a.store, [&](auto s) HWY_ATTR { residual_norm_rows<decltype(s)>(a); });
}

} // namespace mc::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace mc::kernels {
HWY_EXPORT(residual_norm);
void residual_norm(const ResidualNorm& a) {
    HWY_DYNAMIC_DISPATCH(residual_norm)(a);
}
} // namespace mc::kernels
#endif
