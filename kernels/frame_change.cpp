// SPDX-License-Identifier: LGPL-2.1-or-later
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/frame_change.cpp"
#include <hwy/foreach_target.h>

#include "kernels/lanes-inl.h"

HWY_BEFORE_NAMESPACE();
namespace mc::kernels::HWY_NAMESPACE {

template <class S>
void change_of_rows(const void* x, size_t x_stride, const void* y, size_t y_stride, size_t rows, size_t width,
                    float* change) {
    using T = typename S::T;
    const float n = static_cast<float>(width);
    for (size_t r = 0; r < rows; r++) {
        const T* now = static_cast<const T*>(x) + r * x_stride;
        const T* before = static_cast<const T*>(y) + r * y_stride;
        const float moved = sum_along(width, [&](size_t i, auto lanes, V sum) HWY_ATTR {
            return hn::Add(sum, hn::Abs(hn::Sub(get<S>(now + i, lanes), get<S>(before + i, lanes))));
        });
        const float size = sum_along(width, [&](size_t i, auto lanes, V sum) HWY_ATTR {
            return hn::Add(sum, hn::Abs(get<S>(before + i, lanes)));
        });
        change[r] = moved / n / (size / n + 1e-8f);
    }
}

void frame_change(const void* x, size_t x_stride, const void* y, size_t y_stride, size_t rows, size_t width,
                  Store store, float* change) {
    if (store == Store::BF16)
        change_of_rows<StoreBF16>(x, x_stride, y, y_stride, rows, width, change);
    else
        change_of_rows<StoreF32>(x, x_stride, y, y_stride, rows, width, change);
}

} // namespace mc::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace mc::kernels {
HWY_EXPORT(frame_change);
void frame_change(const void* x, size_t x_stride, const void* y, size_t y_stride, size_t rows, size_t width,
                  Store store, float* change) {
    HWY_DYNAMIC_DISPATCH(frame_change)(x, x_stride, y, y_stride, rows, width, store, change);
}
} // namespace mc::kernels
#endif
