// SPDX-License-Identifier: LGPL-2.1-or-later
#include "kernels/tiles.h"

#include <utility>

#include "kernels/bf16.h"
#include "kernels/gemm.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/tiles.cpp"
#include <hwy/foreach_target.h>

#include "kernels/lanes-inl.h"

HWY_BEFORE_NAMESPACE();
namespace mc::kernels::HWY_NAMESPACE {

// Rows by two vectors of sums in registers: 12 of 16 registers, or 24 of AVX-512's 32. Enough to hide the
// latency of the multiply-add, and few operands to load for each.
constexpr size_t LANES = hn::MaxLanes(F());
constexpr size_t MOST_ROWS = LANES >= 16 ? 12 : 6;

// How a panel and rows are read: so many ins at a step, which lie in one word of each column.
struct Floats {
    using Word = float;
    using A = float;
    static constexpr size_t ins = 1;
    static HWY_INLINE V column(const float* words, size_t) { return hn::Load(F(), words); }
    static HWY_INLINE V row(const float* a) { return hn::Set(F(), *a); }
};

struct Pairs {
    using Word = uint32_t;
    static constexpr size_t ins = 2;
    static HWY_INLINE V column(const uint32_t* words, size_t in) {
        const auto pair = hn::Load(U(), words);
        const auto upper = hn::Set(U(), 0xffff0000u);
        return hn::BitCast(F(), in == 0 ? hn::ShiftLeft<16>(pair) : hn::And(pair, upper));
    }
};

struct FloatsTimesPairs : Pairs {
    using A = float;
    static HWY_INLINE V row(const float* a) { return hn::Set(F(), *a); }
};

struct PairsTimesPairs : Pairs {
    using A = bf16;
    static HWY_INLINE V row(const bf16* a) { return hn::Set(F(), widened(*a)); }
};

template <class Read, size_t rows, size_t width>
void tile(const Tile& t) {
    const F d;
    constexpr size_t vectors = HWY_MIN(2, width / LANES);
    using A = typename Read::A;
    // Three pointers and multiples of one stride fit the processor's addressing; twelve pointers do not.
    const size_t stride = t.a_stride;
    const A* const top = static_cast<const A*>(t.a);
    const A* const a[3] = {top, top + 4 * stride, top + 8 * stride};
    const size_t step_bytes = vectors * LANES * sizeof(float);
    for (size_t column = 0; column < width; column += vectors * LANES) {
        float* const c = t.c + column;
        V sum[rows][vectors];
#pragma GCC unroll 12
        for (size_t r = 0; r < rows; r++)
#pragma GCC unroll 2
            for (size_t v = 0; v < vectors; v++) {
                sum[r][v] = t.add ? hn::LoadU(d, c + r * t.c_stride + v * LANES) : hn::Zero(d);
                if (t.bias) sum[r][v] = hn::Add(sum[r][v], hn::LoadU(d, t.bias + column + v * LANES));
            }
        const auto* words = static_cast<const typename Read::Word*>(t.panel) + column;
        const auto step = [&](size_t i, size_t in) HWY_ATTR {
            V factor[vectors];
#pragma GCC unroll 2
            for (size_t v = 0; v < vectors; v++) factor[v] = Read::column(words + v * LANES, in);
#pragma GCC unroll 12
            for (size_t r = 0; r < rows; r++) {
                const V x = Read::row(a[r / 4] + r % 4 * stride + i + in);
#pragma GCC unroll 2
                for (size_t v = 0; v < vectors; v++) sum[r][v] = hn::MulAdd(x, factor[v], sum[r][v]);
            }
        };
        const char* ahead = t.ahead + column * sizeof(float);
        size_t i = 0;
        for (; i + Read::ins <= t.in; i += Read::ins, words += width) {
#pragma GCC unroll 2
            for (size_t line = 0; line < step_bytes; line += 64) __builtin_prefetch(ahead + line, 0, 2);
            ahead += t.ahead_step;
            step(i, 0);
            if (Read::ins == 2) step(i, 1);
        }
        if (i < t.in) step(i, 0); // the first of a pair
#pragma GCC unroll 12
        for (size_t r = 0; r < rows; r++)
#pragma GCC unroll 2
            for (size_t v = 0; v < vectors; v++) hn::StoreU(sum[r][v], d, c + r * t.c_stride + v * LANES);
    }
}

template <class Read, size_t... r>
Tiles tiles_of(std::index_sequence<r...>) {
    static constexpr TileKernel wide[] = {tile<Read, r + 1, 32>...};
    static constexpr TileKernel narrow[] = {tile<Read, r + 1, 16>...};
    return {wide, narrow, MOST_ROWS, softmax};
}

Tiles highway_tiles(Store store) {
    constexpr std::make_index_sequence<MOST_ROWS> each;
    switch (store) {
    case Store::F32:
        return tiles_of<Floats>(each);
    case Store::BF16:
        return tiles_of<PairsTimesPairs>(each);
    case Store::F32_AS_BF16:
        return tiles_of<FloatsTimesPairs>(each);
    }
    return {};
}

// Only where the target is AVX-512: a test that turns that off must not get this kernel either.
bool bf16_dot() {
    return LANES == 16 && processor_has_bf16_dot();
}

} // namespace mc::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace mc::kernels {
HWY_EXPORT(highway_tiles);
HWY_EXPORT(bf16_dot);
Tiles highway_tiles(Store store) {
    return HWY_DYNAMIC_DISPATCH(highway_tiles)(store);
}
bool bf16_dot() {
    return HWY_DYNAMIC_DISPATCH(bf16_dot)();
}
Tiles tiles(Store store) {
    if (store != Store::BF16) return highway_tiles(store);
    switch (matrix_units()) {
    case MatrixUnits::AMX:
        return amx_tiles();
    case MatrixUnits::EMULATED:
        return emulated_amx_tiles();
    case MatrixUnits::NONE:
        break;
    }
    return bf16_dot() ? bf16_dot_tiles() : highway_tiles(store);
}
} // namespace mc::kernels
#endif
