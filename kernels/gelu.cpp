#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/gelu.cpp"
#include <hwy/foreach_target.h>

#include "kernels/exp-inl.h"

HWY_BEFORE_NAMESPACE();
namespace mc::kernels::HWY_NAMESPACE {

template <class S>
void bias_gelu_rows(void* x, const float* bias, size_t rows, size_t width) {
    for (size_t r = 0; r < rows; r++) {
        auto* row = static_cast<typename S::T*>(x) + r * width;
        along(width, [&](size_t i, auto lanes) HWY_ATTR {
            V v = get<S>(row + i, lanes);
            if (bias) v = hn::Add(v, get<StoreF32>(bias + i, lanes));
            put<S>(gelu_tanh(v), row + i, lanes);
        });
    }
}

void bias_gelu(void* x, const float* bias, size_t rows, size_t width, Store store) {
    switch (store) {
    case Store::F32:
        return bias_gelu_rows<StoreF32>(x, bias, rows, width);
    case Store::BF16:
        return bias_gelu_rows<StoreBF16>(x, bias, rows, width);
    case Store::F32_AS_BF16:
        return bias_gelu_rows<StoreF32AsBF16>(x, bias, rows, width);
    }
}

template <class S>
void bias_add_rows(void* x, const float* bias, size_t rows, size_t width, size_t stride) {
    for (size_t r = 0; r < rows; r++) {
        auto* row = static_cast<typename S::T*>(x) + r * stride;
        along(width, [&](size_t i, auto lanes) HWY_ATTR {
            put<S>(hn::Add(get<S>(row + i, lanes), get<StoreF32>(bias + i, lanes)), row + i, lanes);
        });
    }
}

void bias_add(void* x, const float* bias, size_t rows, size_t width, size_t stride, Store store) {
    switch (store) {
    case Store::F32:
        return bias_add_rows<StoreF32>(x, bias, rows, width, stride);
    case Store::BF16:
        return bias_add_rows<StoreBF16>(x, bias, rows, width, stride);
    case Store::F32_AS_BF16:
        return bias_add_rows<StoreF32AsBF16>(x, bias, rows, width, stride);
    }
}

} // namespace mc::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace mc::kernels {
HWY_EXPORT(bias_gelu);
HWY_EXPORT(bias_add);
void bias_gelu(void* x, const float* bias, size_t rows, size_t width, Store store) {
    HWY_DYNAMIC_DISPATCH(bias_gelu)(x, bias, rows, width, store);
}
void bias_add(void* x, const float* bias, size_t rows, size_t width, size_t stride, Store store) {
    HWY_DYNAMIC_DISPATCH(bias_add)(x, bias, rows, width, stride, store);
}
} // namespace mc::kernels
#endif
