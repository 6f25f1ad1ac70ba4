// SPDX-License-Identifier: LGPL-2.1-or-later
#include <cmath>
#include <vector>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/e4m3.cpp"
#include <hwy/foreach_target.h>

#include "kernels/lanes-inl.h"

HWY_BEFORE_NAMESPACE();
namespace mc::kernels::HWY_NAMESPACE {

// A bfloat16 number of at most 448 to three bits of mantissa, ties to even; below 1/64 to multiples of 1/512, which is
// the step of float32 numbers about 24576.
HWY_INLINE V nearest_e4m3(V y) {
    const F d;
    const U du;
    const auto bits = hn::BitCast(du, y);
    const auto odd = hn::And(hn::ShiftRight<20>(bits), hn::Set(du, 1));
    const auto cut = hn::And(hn::Add(bits, hn::Add(odd, hn::Set(du, 0x7ffff))), hn::Set(du, 0xfff00000u));
    const V shift = hn::Set(d, 24576.f);
    const V small = hn::Sub(hn::Add(y, shift), shift);
    return hn::IfThenElse(hn::Lt(hn::Abs(y), hn::Set(d, 1.f / 64)), small, hn::BitCast(d, cut));
}

template <class S>
void round_rows(const void* in, size_t in_stride, const float* scale, void* out, size_t out_stride,
                size_t rows, size_t width) {
    const F d;
    const auto* from = static_cast<const typename S::T*>(in);
    auto* to = static_cast<typename S::T*>(out);
    for (size_t r = 0; r < rows; r++, from += in_stride, to += out_stride)
        along(width, [&](size_t i, auto lanes) HWY_ATTR {
            // Beyond the end of a row there is a zero of the buffer for the scale: any number will do there.
            const V x = hn::Div(get<S>(from + i, lanes), get<StoreF32>(scale + i, lanes));
            const V y = hn::Min(hn::Max(x, hn::Set(d, -448.f)), hn::Set(d, 448.f));
            const V z = nearest_e4m3(StoreF32AsBF16::round(y));
            put<S>(hn::IfThenElse(hn::IsNaN(x), x, z), to + i, lanes);
        });
}

void round_to_e4m3(const void* in, size_t in_stride, const float* scale, void* out, size_t out_stride,
                   size_t rows, size_t width, Store store) {
    switch (store) {
    case Store::F32:
        return round_rows<StoreF32>(in, in_stride, scale, out, out_stride, rows, width);
    case Store::BF16:
        return round_rows<StoreBF16>(in, in_stride, scale, out, out_stride, rows, width);
    case Store::F32_AS_BF16:
        return round_rows<StoreF32AsBF16>(in, in_stride, scale, out, out_stride, rows, width);
    }
}

} // namespace mc::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace mc::kernels {
HWY_EXPORT(round_to_e4m3);
void round_to_e4m3(const void* in, size_t in_stride, const float* scale, void* out, size_t out_stride,
                   size_t rows, size_t width, Store store) {
    HWY_DYNAMIC_DISPATCH(round_to_e4m3)(in, in_stride, scale, out, out_stride, rows, width, store);
}
} // namespace mc::kernels
#endif
