// SPDX-License-Identifier: LGPL-2.1-or-later
#include <limits>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/reuse.cpp"
#include <hwy/foreach_target.h>

#include "kernels/lanes-inl.h"

HWY_BEFORE_NAMESPACE();
namespace mc::kernels::HWY_NAMESPACE {

// One token that went through the layers: its output, and what is kept of it.
template <class S>
void keep(const Reuse& a, size_t t, typename S::T* out) {
    using T = typename S::T;
    const F d;
    const T* in = static_cast<const T*>(a.in) + t * a.width;
    const T* x = static_cast<const T*>(a.x) + a.row[t] * a.width;
    std::memcpy(out, x, a.width * sizeof(T));
    if (!a.residual) return;
    T* residual = static_cast<T*>(a.residual) + t * a.width;
    T* slope = a.slope ? static_cast<T*>(a.slope) + t * a.width : nullptr;
    const float passed = a.level ? a.level_now - a.level[t] : 0; // NaN: never computed before
    const V since = hn::Set(d, passed < 0 || passed > 0 ? passed : std::numeric_limits<float>::infinity());
    along(a.width, [&](size_t i, auto lanes) HWY_ATTR {
        const V fresh = S::round(hn::Sub(get<S>(x + i, lanes), get<S>(in + i, lanes)));
        if (slope) put<S>(hn::Div(hn::Sub(fresh, get<S>(residual + i, lanes)), since), slope + i, lanes);
        put<S>(fresh, residual + i, lanes);
    });
    if (a.level) a.level[t] = a.level_now;
}

// One that did not.
template <class S>
void repeat(const Reuse& a, size_t t, typename S::T* out) {
    using T = typename S::T;
    const F d;
    const T* in = static_cast<const T*>(a.in) + t * a.width;
    const T* residual = static_cast<const T*>(a.residual) + t * a.width;
    const T* slope = a.slope ? static_cast<const T*>(a.slope) + t * a.width : nullptr;
    const V passed = hn::Set(d, slope ? a.level_now - a.level[t] : 0);
    along(a.width, [&](size_t i, auto lanes) HWY_ATTR {
        V v = hn::Add(get<S>(in + i, lanes), get<S>(residual + i, lanes));
        if (slope) v = hn::MulAdd(get<S>(slope + i, lanes), passed, v);
        put<S>(v, out + i, lanes);
    });
}

template <class S>
void reuse_rows(const Reuse& a) {
    for (size_t t = 0; t < a.rows; t++) {
        auto* out = static_cast<typename S::T*>(a.out) + t * a.width;
        a.row[t] >= 0 ? keep<S>(a, t, out) : repeat<S>(a, t, out);
    }
}

void reuse(const Reuse& a) {
    switch (a.store) {
    case Store::F32:
        return reuse_rows<StoreF32>(a);
    case Store::BF16:
        return reuse_rows<StoreBF16>(a);
    case Store::F32_AS_BF16:
        return reuse_rows<StoreF32AsBF16>(a);
    }
}

} // namespace mc::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace mc::kernels {
HWY_EXPORT(reuse);
void reuse(const Reuse& a) {
    HWY_DYNAMIC_DISPATCH(reuse)(a);
}
} // namespace mc::kernels
#endif
