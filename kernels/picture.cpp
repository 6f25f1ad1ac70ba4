// SPDX-License-Identifier: LGPL-2.1-or-later
#include <cstring>
#include <vector>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/picture.cpp"
#include <hwy/foreach_target.h>

#include "kernels/lanes-inl.h"
#include "kernels/pixel.h"

HWY_BEFORE_NAMESPACE();
namespace mc::kernels::HWY_NAMESPACE {

using I = hn::RebindToSigned<F>;
using U8 = hn::Rebind<uint8_t, F>;
using V8 = hn::Vec<U8>;

// pixel::to_8bit, still as float32: the integers are small enough to stay exact.
HWY_INLINE V to_8bit(V x) {
    const F d;
    const V unit = hn::MulAdd(x, hn::Set(d, 0.5f), hn::Set(d, 0.5f));
    const V positive = hn::IfThenElseZero(hn::Gt(unit, hn::Zero(d)), unit); // NaN is not
    return hn::Floor(hn::Mul(hn::Min(positive, hn::Set(d, 1.f)), hn::Set(d, 255.f)));
}

// (r cr + g cg + b cb + offset) >> shift, as bytes. See pixel.h for why float32 is exact here.
template <int shift>
HWY_INLINE V8 weigh(V r, V g, V b, int32_t cr, int32_t cg, int32_t cb, int32_t offset) {
    const F d;
    const V product_r = hn::Mul(r, hn::Set(d, static_cast<float>(cr)));
    const V product_rg = hn::MulAdd(g, hn::Set(d, static_cast<float>(cg)), product_r);
    const V sum = hn::MulAdd(b, hn::Set(d, static_cast<float>(cb)), product_rg);
    const auto fixed = hn::Add(hn::ConvertTo(I(), sum), hn::Set(I(), offset));
    return hn::DemoteTo(U8(), hn::ShiftRight<shift>(fixed));
}

HWY_INLINE void put_bytes(V8 v, uint8_t* p, All) {
    hn::StoreU(v, U8(), p);
}
HWY_INLINE void put_bytes(V8 v, uint8_t* p, First tail) {
    uint8_t buffer[HWY_MAX_BYTES / sizeof(float)];
    hn::StoreU(v, U8(), buffer);
    std::memcpy(p, buffer, tail.n);
}

void picture_to_rgb(const Picture& p, uint8_t* rgb, size_t stride) {
    const auto bytes = [](V v) HWY_ATTR { return hn::DemoteTo(U8(), hn::ConvertTo(I(), v)); };
    for (size_t y = 0; y < p.height; y++) {
        const float* in = p.rgb + y * p.width;
        uint8_t* out = rgb + y * stride;
        along(p.width, [&](size_t i, auto lanes) HWY_ATTR {
            const V8 r = bytes(to_8bit(get<StoreF32>(in + i, lanes)));
            const V8 g = bytes(to_8bit(get<StoreF32>(in + p.plane_stride + i, lanes)));
            const V8 b = bytes(to_8bit(get<StoreF32>(in + 2 * p.plane_stride + i, lanes)));
            if constexpr (std::is_same_v<decltype(lanes), All>) {
                hn::StoreInterleaved3(r, g, b, U8(), out + 3 * i);
            } else {
                uint8_t buffer[3 * HWY_MAX_BYTES / sizeof(float)];
                hn::StoreInterleaved3(r, g, b, U8(), buffer);
                std::memcpy(out + 3 * i, buffer, 3 * lanes.n);
            }
        });
    }
}

// Two rows of a picture at a time: their luma, and their 8-bit values summed for chroma.
class RowPair {
  public:
    explicit RowPair(const Picture& p) : picture(p), sums(3 * (p.width + 1)) {}

    void luma(size_t y, uint8_t* upper, uint8_t* lower) {
        const float* in = picture.rgb + y * picture.width;
        along(picture.width, [&](size_t i, auto lanes) HWY_ATTR {
            luma_of(in + i, upper + i, i, false, lanes);
            luma_of(in + picture.width + i, lower + i, i, true, lanes);
        });
        for (size_t c = 0; c < 3; c++) row(c)[-1] = row(c)[0];
    }

    // put(i, lanes, cb, cr) for each group of chroma samples
    template <class Put>
    void chroma(Put put) {
        along(picture.width / 2, [&](size_t i, auto lanes) HWY_ATTR {
            const V r = weighted(row(0) + 2 * i, lanes);
            const V g = weighted(row(1) + 2 * i, lanes);
            const V b = weighted(row(2) + 2 * i, lanes);
            constexpr int32_t offset = (128 << 17) + (1 << 16);
            put(i, lanes, weigh<17>(r, g, b, pixel::CB_R, pixel::CB_G, pixel::CB_B, offset),
                weigh<17>(r, g, b, pixel::CR_R, pixel::CR_G, pixel::CR_B, offset));
        });
    }

  private:
    // Sums of colour c; [-1] is the repeated edge.
    float* row(size_t c) { return sums.data() + c * (picture.width + 1) + 1; }

    template <class Lanes>
    HWY_INLINE void luma_of(const float* in, uint8_t* out, size_t i, bool second, Lanes lanes) {
        V rgb[3];
        for (size_t c = 0; c < 3; c++) {
            rgb[c] = to_8bit(get<StoreF32>(in + c * picture.plane_stride, lanes));
            float* sum = row(c) + i;
            put<StoreF32>(second ? hn::Add(rgb[c], get<StoreF32>(sum, lanes)) : rgb[c], sum, lanes);
        }
        put_bytes(weigh<16>(rgb[0], rgb[1], rgb[2], pixel::LUMA_R, pixel::LUMA_G, pixel::LUMA_B,
                            (16 << 16) + (1 << 15)),
                  out, lanes);
    }

    // left + 2 here + right, for each even column from s on
    static HWY_INLINE V weighted(const float* s, All) {
        V before, left, here, right;
        hn::LoadInterleaved2(F(), s - 1, left, before);
        hn::LoadInterleaved2(F(), s, here, right);
        return hn::Add(hn::Add(left, right), hn::Add(here, here));
    }
    static HWY_INLINE V weighted(const float* s, First tail) {
        float buffer[1 + 2 * HWY_MAX_BYTES / sizeof(float)] = {};
        std::memcpy(buffer, s - 1, (1 + 2 * tail.n) * sizeof(float));
        return weighted(buffer + 1, All{});
    }

    const Picture& picture;
    std::vector<float> sums;
};

void picture_to_i420(const Picture& p, uint8_t* const planes[3], const size_t strides[3]) {
    RowPair rows(p);
    for (size_t y = 0; y < p.height; y += 2) {
        uint8_t* luma = planes[0] + y * strides[0];
        rows.luma(y, luma, luma + strides[0]);
        uint8_t* cb = planes[1] + y / 2 * strides[1];
        uint8_t* cr = planes[2] + y / 2 * strides[2];
        rows.chroma([&](size_t i, auto lanes, V8 vcb, V8 vcr) HWY_ATTR {
            put_bytes(vcb, cb + i, lanes);
            put_bytes(vcr, cr + i, lanes);
        });
    }
}

void picture_to_nv12(const Picture& p, uint8_t* const planes[2], const size_t strides[2]) {
    RowPair rows(p);
    for (size_t y = 0; y < p.height; y += 2) {
        uint8_t* luma = planes[0] + y * strides[0];
        rows.luma(y, luma, luma + strides[0]);
        uint8_t* both = planes[1] + y / 2 * strides[1];
        rows.chroma([&](size_t i, auto lanes, V8 cb, V8 cr) HWY_ATTR {
            if constexpr (std::is_same_v<decltype(lanes), All>) {
                hn::StoreInterleaved2(cb, cr, U8(), both + 2 * i);
            } else {
                uint8_t buffer[2 * HWY_MAX_BYTES / sizeof(float)];
                hn::StoreInterleaved2(cb, cr, U8(), buffer);
                std::memcpy(both + 2 * i, buffer, 2 * lanes.n);
            }
        });
    }
}

} // namespace mc::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace mc::kernels {
HWY_EXPORT(picture_to_rgb);
HWY_EXPORT(picture_to_i420);
HWY_EXPORT(picture_to_nv12);
void picture_to_rgb(const Picture& p, uint8_t* rgb, size_t stride) {
    HWY_DYNAMIC_DISPATCH(picture_to_rgb)(p, rgb, stride);
}
void picture_to_i420(const Picture& p, uint8_t* const planes[3], const size_t strides[3]) {
    HWY_DYNAMIC_DISPATCH(picture_to_i420)(p, planes, strides);
}
void picture_to_nv12(const Picture& p, uint8_t* const planes[2], const size_t strides[2]) {
    HWY_DYNAMIC_DISPATCH(picture_to_nv12)(p, planes, strides);
}
} // namespace mc::kernels
#endif
