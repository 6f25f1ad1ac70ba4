// SPDX-License-Identifier: LGPL-2.1-or-later
#include <algorithm>
#include <cmath>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/channel_norm.cpp"
#include <hwy/foreach_target.h>

#include "kernels/exp-inl.h"

HWY_BEFORE_NAMESPACE();
namespace mc::kernels::HWY_NAMESPACE {

void channel_norm(const float* x, const float* gamma, float* out, size_t rows, size_t channels,
                  bool with_silu) {
    const F d;
    const float root = std::sqrt(static_cast<float>(channels));
    for (size_t r = 0; r < rows; r++, x += channels, out += channels) {
        const float squares = sum_along(channels, [&](size_t i, auto lanes, V sum) HWY_ATTR {
            const V v = get<StoreF32>(x + i, lanes);
            return hn::MulAdd(v, v, sum);
        });
        const V scale = hn::Set(d, root / std::max(std::sqrt(squares), 1e-12f));
        along(channels, [&](size_t i, auto lanes) HWY_ATTR {
            const V v = hn::Mul(get<StoreF32>(x + i, lanes), scale);
            const V y = hn::Mul(v, get<StoreF32>(gamma + i, lanes));
            put<StoreF32>(with_silu ? silu(y) : y, out + i, lanes);
        });
    }
}

} // namespace mc::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace mc::kernels {
HWY_EXPORT(channel_norm);
void channel_norm(const float* x, const float* gamma, float* out, size_t rows, size_t channels, bool silu) {
    HWY_DYNAMIC_DISPATCH(channel_norm)(x, gamma, out, rows, channels, silu);
}
} // namespace mc::kernels
#endif
