// SPDX-License-Identifier: LGPL-2.1-or-later
#include <cmath>
#include <vector>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/gelu_erf.cpp"
#include <hwy/foreach_target.h>

#include "kernels/exp-inl.h"

HWY_BEFORE_NAMESPACE();
namespace mc::kernels::HWY_NAMESPACE {

// x (1 + erf(x / sqrt 2)) / 2. With z = |x| / sqrt 2 and t = 1 / (1 + 0.3 z), the complementary error function is
// e^(-z^2) t q(t), q the polynomial through it at nine Chebyshev points of 0 <= z <= 10.2: relative error 3e-8.
HWY_INLINE V gelu_of(V x) {
    const F d;
    const V m = not_below(x, -14.f); // nothing is left from -13.2 on
    const V z = hn::Mul(hn::Abs(m), hn::Set(d, 0.707106781f));
    const V t = hn::Div(hn::Set(d, 1.f), hn::MulAdd(z, hn::Set(d, 0.3f), hn::Set(d, 1.f)));
    V q = hn::MulAdd(hn::Set(d, -0.130845166f), t, hn::Set(d, 0.49228653f));
    q = hn::MulAdd(q, t, hn::Set(d, -0.526856074f));
    q = hn::MulAdd(q, t, hn::Set(d, 0.565285958f));
    q = hn::MulAdd(q, t, hn::Set(d, -0.107486531f));
    q = hn::MulAdd(q, t, hn::Set(d, 0.220737311f));
    q = hn::MulAdd(q, t, hn::Set(d, 0.146750589f));
    q = hn::MulAdd(q, t, hn::Set(d, 0.170954553f));
    q = hn::MulAdd(q, t, hn::Set(d, 0.169172808f));
    const V square = hn::Min(hn::Mul(z, z), hn::Set(d, 88.f));
    const V tail = hn::Mul(hn::Mul(exp_within(hn::Neg(square)), hn::Mul(q, t)), hn::Set(d, 0.5f));
    return hn::Mul(m, hn::IfThenElse(hn::Lt(m, hn::Zero(d)), tail, hn::Sub(hn::Set(d, 1.f), tail)));
}

template <class S>
void gelu_erf_rows(const float* in, size_t in_stride, void* out, size_t out_stride, size_t rows,
                   size_t width) {
    auto* to = static_cast<typename S::T*>(out);
    for (size_t r = 0; r < rows; r++, in += in_stride, to += out_stride)
        along(width, [&](size_t i, auto lanes) HWY_ATTR {
            put<S>(gelu_of(S::round(get<StoreF32>(in + i, lanes))), to + i, lanes);
        });
}

void gelu_erf(const float* in, size_t in_stride, void* out, size_t out_stride, size_t rows, size_t width,
              Store store) {
    switch (store) {
    case Store::F32:
        return gelu_erf_rows<StoreF32>(in, in_stride, out, out_stride, rows, width);
    case Store::BF16:
        return gelu_erf_rows<StoreBF16>(in, in_stride, out, out_stride, rows, width);
    case Store::F32_AS_BF16:
        return gelu_erf_rows<StoreF32AsBF16>(in, in_stride, out, out_stride, rows, width);
    }
}

} // namespace mc::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace mc::kernels {
HWY_EXPORT(gelu_erf);
void gelu_erf(const float* in, size_t in_stride, void* out, size_t out_stride, size_t rows, size_t width,
              Store store) {
    HWY_DYNAMIC_DISPATCH(gelu_erf)(in, in_stride, out, out_stride, rows, width, store);
}
} // namespace mc::kernels
#endif
