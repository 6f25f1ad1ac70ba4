// SPDX-License-Identifier: LGPL-2.1-or-later
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/gelu.cpp"
#include <hwy/foreach_target.h>

#include "kernels/exp-inl.h"

HWY_BEFORE_NAMESPACE();
namespace mc::kernels::HWY_NAMESPACE {

template <class S>
HWY_INLINE V gelu_of(V x) {
    return gelu_tanh(x);
}
#if MC_ROUNDS_BF16
template <>
HWY_INLINE V gelu_of<StoreRoundedBF16>(V x) {
    return gelu_tanh_to_round(x);
}
#endif

template <class S>
void gelu_rows(const float* in, size_t in_stride, void* out, size_t out_stride, size_t rows, size_t width) {
    auto* to = static_cast<typename S::T*>(out);
    for (size_t r = 0; r < rows; r++, in += in_stride, to += out_stride)
        along(width, [&](size_t i, auto lanes) HWY_ATTR {
            put<S>(gelu_of<S>(S::round(get<StoreF32>(in + i, lanes))), to + i, lanes);
        });
}

void gelu(const float* in, size_t in_stride, void* out, size_t out_stride, size_t rows, size_t width,
          Store store) {
    by_store(store, [&](auto s) HWY_ATTR { gelu_rows<decltype(s)>(in, in_stride, out, out_stride, rows, width); });
}

} // namespace mc::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace mc::kernels {
HWY_EXPORT(gelu);
void gelu(const float* in, size_t in_stride, void* out, size_t out_stride, size_t rows, size_t width,
          Store store) {
    HWY_DYNAMIC_DISPATCH(gelu)(in, in_stride, out, out_stride, rows, width, store);
}
} // namespace mc::kernels
#endif
