// SPDX-License-Identifier: LGPL-2.1-or-later
#include <cmath>
#include <vector>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/silu_gate.cpp"
#include <hwy/foreach_target.h>

#include "kernels/exp-inl.h"

HWY_BEFORE_NAMESPACE();
namespace mc::kernels::HWY_NAMESPACE {

template <class S>
void silu_gate_rows(const float* u, size_t u_stride, const float* v, size_t v_stride, void* out,
                    size_t out_stride, size_t rows, size_t width) {
    auto* to = static_cast<typename S::T*>(out);
    for (size_t r = 0; r < rows; r++, u += u_stride, v += v_stride, to += out_stride)
        along(width, [&](size_t i, auto lanes) HWY_ATTR {
            const V x = S::round(get<StoreF32>(u + i, lanes)), y = S::round(get<StoreF32>(v + i, lanes));
            put<S>(hn::Mul(silu(x), y), to + i, lanes);
        });
}

void silu_gate(const float* u, size_t u_stride, const float* v, size_t v_stride, void* out, size_t out_stride,
               size_t rows, size_t width, Store store) {
    switch (store) {
    case Store::F32:
        return silu_gate_rows<StoreF32>(u, u_stride, v, v_stride, out, out_stride, rows, width);
    case Store::BF16:
        return silu_gate_rows<StoreBF16>(u, u_stride, v, v_stride, out, out_stride, rows, width);
    case Store::F32_AS_BF16:
        return silu_gate_rows<StoreF32AsBF16>(u, u_stride, v, v_stride, out, out_stride, rows, width);
    }
}

} // namespace mc::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace mc::kernels {
HWY_EXPORT(silu_gate);
void silu_gate(const float* u, size_t u_stride, const float* v, size_t v_stride, void* out, size_t out_stride,
               size_t rows, size_t width, Store store) {
    HWY_DYNAMIC_DISPATCH(silu_gate)(u, u_stride, v, v_stride, out, out_stride, rows, width, store);
}
} // namespace mc::kernels
#endif
