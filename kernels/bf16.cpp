// SPDX-License-Identifier: LGPL-2.1-or-later
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/bf16.cpp"
#include <hwy/foreach_target.h>

#include "kernels/key_values.h"
#include "kernels/lanes-inl.h"

HWY_BEFORE_NAMESPACE();
namespace mc::kernels::HWY_NAMESPACE {

void to_bf16(const float* in, bf16* out, size_t n) {
    along(n, [&](size_t i, auto lanes)
                 HWY_ATTR { put<StoreBF16>(get<StoreF32>(in + i, lanes), out + i, lanes); });
}

void to_bf16_pairs(const float* first, const float* second, bf16* out, size_t n) {
    const U du;
    along(n, [&](size_t i, auto lanes) HWY_ATTR {
        const auto lower = hn::ShiftRight<16>(round_bits(get<StoreF32>(first + i, lanes)));
        const auto upper = hn::And(round_bits(get<StoreF32>(second + i, lanes)), hn::Set(du, 0xffff0000u));
        put<StoreF32>(hn::BitCast(F(), hn::Or(upper, lower)), reinterpret_cast<float*>(out + 2 * i), lanes);
    });
}

void from_bf16(const bf16* in, float* out, size_t n) {
    along(n, [&](size_t i, auto lanes)
                 HWY_ATTR { put<StoreF32>(get<StoreBF16>(in + i, lanes), out + i, lanes); });
}

void round_to_bf16(float* x, size_t n) {
    along(n, [&](size_t i, auto lanes)
                 HWY_ATTR { put<StoreF32AsBF16>(get<StoreF32>(x + i, lanes), x + i, lanes); });
}

} // namespace mc::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace mc::kernels {
HWY_EXPORT(to_bf16);
HWY_EXPORT(to_bf16_pairs);
HWY_EXPORT(from_bf16);
HWY_EXPORT(round_to_bf16);
void to_bf16(const float* in, bf16* out, size_t n) {
    HWY_DYNAMIC_DISPATCH(to_bf16)(in, out, n);
}
void to_bf16_pairs(const float* first, const float* second, bf16* out, size_t n) {
    HWY_DYNAMIC_DISPATCH(to_bf16_pairs)(first, second, out, n);
}
void from_bf16(const bf16* in, float* out, size_t n) {
    HWY_DYNAMIC_DISPATCH(from_bf16)(in, out, n);
}
void round_to_bf16(float* x, size_t n) {
    HWY_DYNAMIC_DISPATCH(round_to_bf16)(x, n);
}
} // namespace mc::kernels
#endif
