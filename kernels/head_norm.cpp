// SPDX-License-Identifier: LGPL-2.1-or-later
#include <cmath>
#include <vector>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/head_norm.cpp"
#include <hwy/foreach_target.h>

#include "kernels/lanes-inl.h"

HWY_BEFORE_NAMESPACE();
namespace mc::kernels::HWY_NAMESPACE {

template <class S>
void head_norm_rows(const HeadNorm& a) {
    using T = typename S::T;
    const F d;
    const float count = static_cast<float>(a.head);
    std::vector<float> normed(a.head);
    float* const y = normed.data();
    for (size_t r = 0; r < a.rows; r++)
        for (size_t h = 0; h < a.width; h += a.head) {
            const float* in = a.in + r * a.in_stride + h;
            T* out = static_cast<T*>(a.out) + r * a.out_stride + h;
            const auto rounded = [&](size_t i, auto lanes)
                                     HWY_ATTR { return S::round(get<StoreF32>(in + i, lanes)); };
            const float mean = sum_along(a.head, [&](size_t i, auto lanes, V sum)
                                                     HWY_ATTR { return hn::Add(sum, rounded(i, lanes)); }) /
                               count;
            const V vmean = hn::Set(d, mean);
            const float variance = sum_along(a.head,
                                             [&](size_t i, auto lanes, V sum) HWY_ATTR {
                                                 const V off = only(hn::Sub(rounded(i, lanes), vmean), lanes);
                                                 return hn::MulAdd(off, off, sum);
                                             }) /
                                   count;
            const V scale = hn::Set(d, 1.f / std::sqrt(variance + a.eps));
            const auto affine = [&](size_t i, auto lanes) HWY_ATTR {
                const V off = hn::Mul(hn::Sub(rounded(i, lanes), vmean), scale);
                return hn::MulAdd(off, get<StoreF32>(a.gain + i, lanes), get<StoreF32>(a.bias + i, lanes));
            };
            if (!a.cosine) {
                along(a.head,
                      [&](size_t i, auto lanes) HWY_ATTR { put<S>(affine(i, lanes), out + i, lanes); });
                continue;
            }
            along(a.head,
                  [&](size_t i, auto lanes) HWY_ATTR { put<StoreF32>(affine(i, lanes), y + i, lanes); });
            const size_t n = a.angles, row = static_cast<size_t>(a.position[r]) * n;
            along(n, [&](size_t i, auto lanes) HWY_ATTR {
                const V c = get<StoreF32>(a.cosine + row + i, lanes),
                        s = get<StoreF32>(a.sine + row + i, lanes);
                const V first = get<StoreF32>(y + i, lanes), second = get<StoreF32>(y + n + i, lanes);
                put<S>(hn::NegMulAdd(second, s, hn::Mul(first, c)), out + i, lanes);
                put<S>(hn::MulAdd(first, s, hn::Mul(second, c)), out + n + i, lanes);
            });
            along(a.head - 2 * n, [&](size_t i, auto lanes) HWY_ATTR {
                put<S>(get<StoreF32>(y + 2 * n + i, lanes), out + 2 * n + i, lanes);
            });
        }
}

void head_norm(const HeadNorm& a) {
    switch (a.store) {
    case Store::F32:
        return head_norm_rows<StoreF32>(a);
    case Store::BF16:
        return head_norm_rows<StoreBF16>(a);
    case Store::F32_AS_BF16:
        return head_norm_rows<StoreF32AsBF16>(a);
    }
}

} // namespace mc::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace mc::kernels {
HWY_EXPORT(head_norm);
void head_norm(const HeadNorm& a) {
    HWY_DYNAMIC_DISPATCH(head_norm)(a);
}
} // namespace mc::kernels
#endif
