// SPDX-License-Identifier: LGPL-2.1-or-later
#include "kernels/tiles.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/softmax.cpp"
#include <hwy/foreach_target.h>

#include "kernels/exp-inl.h"

HWY_BEFORE_NAMESPACE();
namespace mc::kernels::HWY_NAMESPACE {

// S is how weights are stored: bfloat16 for BF16, else float32.
template <class S>
void softmax_rows(const ScoreTile& t) {
    const F d;
    const size_t n = hn::Lanes(d);
    const V scale = hn::Set(d, t.scale);
    for (size_t r = 0; r < t.rows; r++) {
        const float* const s = t.scores + r * t.score_stride;
        V most = hn::Load(d, s), most1 = most;
        for (size_t i = 0; i < t.keys; i += 2 * n) {
            most = hn::Max(most, hn::Load(d, s + i));
            most1 = hn::Max(most1, hn::Load(d, s + i + n));
        }
        const float before = t.largest[r];
        const float block = hn::GetLane(hn::MaxOfLanes(d, hn::Max(most, most1)));
        const float largest = before < block ? block : before;
        const V shift = hn::Set(d, largest);
        typename S::T* const w = static_cast<typename S::T*>(t.weights) + r * t.weight_stride;
        V sum = hn::Zero(d), sum1 = sum;
        for (size_t i = 0; i < t.keys; i += 2 * n) {
            const V a = exp2_below(hn::Mul(hn::Sub(hn::Load(d, s + i), shift), scale));
            const V b = exp2_below(hn::Mul(hn::Sub(hn::Load(d, s + i + n), shift), scale));
            sum = hn::Add(sum, S::put(a, w + i));
            sum1 = hn::Add(sum1, S::put(b, w + i + n));
        }
        const float correction = hn::GetLane(exp2_below(hn::Set(d, (before - largest) * t.scale)));
        t.largest[r] = largest;
        t.total[r] = t.total[r] * correction + hn::GetLane(hn::SumOfLanes(d, hn::Add(sum, sum1)));
        float* const sums = t.sums + r * t.sums_width;
        along(t.sums_width, [&](size_t i, auto lanes) HWY_ATTR {
            put<StoreF32>(hn::Mul(get<StoreF32>(sums + i, lanes), hn::Set(d, correction)), sums + i, lanes);
        });
    }
}

void softmax(const ScoreTile& t) {
    if (t.store == Store::BF16)
        softmax_rows<StoreBF16>(t);
    else
        softmax_rows<StoreF32>(t);
}

template <class S>
void divide_row(const float* sum, float total, void* out, size_t n) {
    const V share = hn::Set(F(), 1.f / total);
    along(n, [&](size_t i, auto lanes) HWY_ATTR {
        put<S>(hn::Mul(get<StoreF32>(sum + i, lanes), share), static_cast<typename S::T*>(out) + i, lanes);
    });
}

void divide(const float* sum, float total, void* out, size_t n, Store store) {
    by_store(store, [&](auto s) HWY_ATTR { divide_row<decltype(s)>(sum, total, out, n); });
}

} // namespace mc::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace mc::kernels {
HWY_EXPORT(softmax);
HWY_EXPORT(divide);
void softmax(const ScoreTile& t) {
    HWY_DYNAMIC_DISPATCH(softmax)(t);
}
void divide(const float* sum, float total, void* out, size_t n, Store store) {
    HWY_DYNAMIC_DISPATCH(divide)(sum, total, out, n, store);
}
} // namespace mc::kernels
#endif
