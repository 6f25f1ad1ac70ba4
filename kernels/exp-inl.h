// SPDX-License-Identifier: LGPL-2.1-or-later
// e^x, and the functions made of it. Included once per Highway target.
#if defined(MC_KERNELS_EXP_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef MC_KERNELS_EXP_INL_H
#undef MC_KERNELS_EXP_INL_H
#else
#define MC_KERNELS_EXP_INL_H
#endif

#include "kernels/lanes-inl.h"

HWY_BEFORE_NAMESPACE();
namespace mc::kernels::HWY_NAMESPACE {

// e^x for x in [-88, 88.7]; the caller clamps. Exactly 0 below -87.7 (no denormals), infinite
// above 88.4; between them within 2 ulp.
//     x = n ln 2 + r, |r| <= ln(2)/2;   e^r = 1 + r + r^2 q(r), q the minimax polynomial of relative error
//     3e-9
HWY_INLINE V exp_within(V x) {
    const F d;
    const hn::RebindToSigned<F> di;
    const V n = hn::Round(hn::Mul(x, hn::Set(d, 1.44269504f)));
    // ln 2 in two parts, so that x - n ln 2 keeps all its bits
    const V r = hn::NegMulAdd(n, hn::Set(d, -2.12194440e-4f), hn::NegMulAdd(n, hn::Set(d, 0.693359375f), x));
    V q = hn::MulAdd(hn::Set(d, 1.3813145e-3f), r, hn::Set(d, 8.369419e-3f));
    q = hn::MulAdd(q, r, hn::Set(d, 4.1668456e-2f));
    q = hn::MulAdd(q, r, hn::Set(d, 1.6666515e-1f));
    q = hn::MulAdd(q, r, hn::Set(d, 4.9999993e-1f));
    const V e = hn::Add(hn::MulAdd(q, hn::Mul(r, r), r), hn::Set(d, 1.f));
    // 2^n in the exponent bits: n = -127 gives 0 and n = 128 infinity
    const auto power = hn::ShiftLeft<23>(hn::Add(hn::ConvertTo(di, n), hn::Set(di, 127)));
    return hn::Mul(e, hn::BitCast(d, power));
}

// 2^x for x < 127.5, within 2 ulp; 0 below -126.5. NaN stays NaN.
//     x = n + f, |f| <= 1/2;   2^f = 1 + f q(f), q the minimax polynomial of relative error 9e-8
HWY_INLINE V exp2_below(V x) {
    const F d;
    const hn::RebindToSigned<F> di;
    x = hn::IfThenElse(hn::Lt(x, hn::Set(d, -127.f)), hn::Set(d, -127.f), x);
    const V n = hn::Round(x);
    const V f = hn::Sub(x, n);
    V q = hn::MulAdd(hn::Set(d, 1.32645911e-3f), f, hn::Set(d, 9.67161916e-3f));
    q = hn::MulAdd(q, f, hn::Set(d, 5.55073507e-2f));
    q = hn::MulAdd(q, f, hn::Set(d, 0.240222409f));
    q = hn::MulAdd(q, f, hn::Set(d, 0.693147004f));
    const auto power = hn::ShiftLeft<23>(hn::Add(hn::ConvertTo(di, n), hn::Set(di, 127)));
    return hn::Mul(hn::MulAdd(q, f, hn::Set(d, 1.f)), hn::BitCast(d, power));
}

// x as it is, but not below `low`; NaN stays NaN (which Max leaves to the processor).
HWY_INLINE V not_below(V x, float low) {
    const V bound = hn::Set(F(), low);
    return hn::IfThenElse(hn::Lt(x, bound), bound, x);
}

// x / (1 + e^-x)
HWY_INLINE V silu(V x) {
    const F d;
    const V m = not_below(x, -88.7f); // e^88.7 is infinite here: -0 from there on
    const V e = exp_within(hn::Neg(hn::Min(m, hn::Set(d, 88.f))));
    return hn::Div(m, hn::Add(hn::Set(d, 1.f), e));
}

// x/2 (1 + tanh u) = x / (1 + e^-2u), u = sqrt(2/pi) (x + 0.044715 x^3): one exponential and no cancellation
// where tanh is near -1.
HWY_INLINE V gelu_tanh(V x) {
    const F d;
    const V m = not_below(x, -10.06f); // -2u is 88.7 there
    const V t = hn::Min(m, hn::Set(d, 10.f));
    const V cubic = hn::MulAdd(hn::Mul(t, t), hn::Set(d, -7.13548163e-2f), hn::Set(d, -1.59576912f));
    return hn::Div(m, hn::Add(hn::Set(d, 1.f), exp_within(hn::Mul(t, cubic))));
}

// gelu_tanh() of bfloat16, to 7e-5 of itself: a thirtieth of what its rounding to bfloat16 may take.
#if MC_ROUNDS_BF16
HWY_INLINE V gelu_tanh_to_round(V x) {
    const F d;
    const V m{_mm512_max_ps(hn::Set(d, -10.07f).raw, x.raw)}; // e^-2u is infinite there; of a NaN the second
    const V cubic = hn::MulAdd(hn::Mul(m, m), hn::Set(d, -0.10294324f), hn::Set(d, -2.3022082f)); // e^x is 2^(1.44 x)
    const V t = hn::Mul(m, cubic);
    // 2^t = 2^n p(f), 0 <= f < 1, p the minimax polynomial of relative error 3e-6. Beyond what float32 holds it is 0
    // or infinite, and the result then m or -0.
    const V f{_mm512_reduce_ps(t.raw, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC)};
    V p = hn::MulAdd(hn::Set(d, 1.35341679e-2f), f, hn::Set(d, 5.20114606e-2f));
    p = hn::MulAdd(p, f, hn::Set(d, 0.241442757f));
    p = hn::MulAdd(p, f, hn::Set(d, 0.693003834f));
    p = hn::MulAdd(p, f, hn::Set(d, 1.00000259f));
    const V e{_mm512_scalef_ps(p.raw, t.raw)};
    return hn::Mul(m, V{_mm512_rcp14_ps(hn::Add(hn::Set(d, 1.f), e).raw)});
}
#endif

} // namespace mc::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif
