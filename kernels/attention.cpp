#include "kernels/attention.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "kernels/scratch.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/attention.cpp"
#include <hwy/foreach_target.h>

#include "kernels/exp-inl.h"

HWY_BEFORE_NAMESPACE();
namespace mc::kernels::HWY_NAMESPACE {

// The inner loops keep `tile` rows by two vectors of sums in registers, 12 of 16 registers or 24 of AVX-512's
// 32: enough to hide the latency of the multiply-add, and few operands to load for each.
constexpr size_t lanes = hn::MaxLanes(F());
constexpr size_t tile = lanes >= 16 ? 12 : 6;
constexpr size_t panel = 2 * lanes;

// Keys and values of one block fit in the second-level cache together, a tile's scores in the first.
constexpr size_t block_floats = 32768, most_keys_at_once = 672;
// Rows whose sums are kept while the blocks of keys go by.
constexpr size_t most_rows_at_once = 1536;

constexpr float log2_e = 1.44269504f;

constexpr size_t round_up(size_t n, size_t multiple) {
    return (n + multiple - 1) / multiple * multiple;
}

// One tile of scores: s[r][c] = bias[c] + sum over i of q[i][r] k[i][c].
HWY_INLINE void score_tile(const float* q, const float* k, const float* bias, size_t head, float* s,
                           size_t stride) {
    const F d;
    V sum[tile][2];
#pragma GCC unroll 12
    for (size_t r = 0; r < tile; r++) {
        sum[r][0] = hn::Load(d, bias);
        sum[r][1] = hn::Load(d, bias + lanes);
    }
    for (size_t i = 0; i < head; i++, q += tile, k += panel) {
        const V k0 = hn::Load(d, k), k1 = hn::Load(d, k + lanes);
#pragma GCC unroll 12
        for (size_t r = 0; r < tile; r++) {
            const V x = hn::Set(d, q[r]);
            sum[r][0] = hn::MulAdd(x, k0, sum[r][0]);
            sum[r][1] = hn::MulAdd(x, k1, sum[r][1]);
        }
    }
#pragma GCC unroll 12
    for (size_t r = 0; r < tile; r++, s += stride) {
        hn::Store(sum[r][0], d, s);
        hn::Store(sum[r][1], d, s + lanes);
    }
}

// One tile of the result, `n` vectors wide: o[r][c] = o[r][c] correction[r] + sum over keys of p[r][key]
// v[key][c].
template <size_t n>
HWY_INLINE void value_tile(const float* p, size_t p_stride, const float* v, size_t keys,
                           const float* correction, float* o, size_t o_stride) {
    const F d;
    V sum[tile][n];
#pragma GCC unroll 12
    for (size_t r = 0; r < tile; r++)
#pragma GCC unroll 2
        for (size_t c = 0; c < n; c++)
            sum[r][c] = hn::Mul(hn::Load(d, o + r * o_stride + c * lanes), hn::Set(d, correction[r]));
    for (size_t key = 0; key < keys; key++, v += n * lanes) {
        V value[n];
#pragma GCC unroll 2
        for (size_t c = 0; c < n; c++) value[c] = hn::Load(d, v + c * lanes);
#pragma GCC unroll 12
        for (size_t r = 0; r < tile; r++) {
            const V x = hn::Set(d, p[r * p_stride + key]);
#pragma GCC unroll 2
            for (size_t c = 0; c < n; c++) sum[r][c] = hn::MulAdd(x, value[c], sum[r][c]);
        }
    }
#pragma GCC unroll 12
    for (size_t r = 0; r < tile; r++)
#pragma GCC unroll 2
        for (size_t c = 0; c < n; c++) hn::Store(sum[r][c], d, o + r * o_stride + c * lanes);
}

// Scores, in units of log 2, to weights relative to the row's largest so far. Answers what earlier sums must
// be multiplied with; updates the largest score and the total of the weights.
HWY_INLINE float weights_of(float* s, size_t n, float& largest, float& total) {
    const F d;
    V most = hn::Set(d, largest), most1 = most;
    for (size_t i = 0; i < n; i += panel) {
        most = hn::Max(most, hn::Load(d, s + i));
        most1 = hn::Max(most1, hn::Load(d, s + i + lanes));
    }
    const float now = hn::GetLane(hn::MaxOfLanes(d, hn::Max(most, most1)));
    const V shift = hn::Set(d, now);
    V sum = hn::Zero(d), sum1 = sum;
    for (size_t i = 0; i < n; i += panel) {
        const V w = exp2_below(hn::Sub(hn::Load(d, s + i), shift));
        const V w1 = exp2_below(hn::Sub(hn::Load(d, s + i + lanes), shift));
        hn::Store(w, d, s + i);
        hn::Store(w1, d, s + i + lanes);
        sum = hn::Add(sum, w);
        sum1 = hn::Add(sum1, w1);
    }
    const float correction = hn::GetLane(exp2_below(hn::Set(d, largest - now)));
    largest = now;
    total = total * correction + hn::GetLane(hn::SumOfLanes(d, hn::Add(sum, sum1)));
    return correction;
}

// Keys [begin, end) as score_tile reads them, [panel][head][key in panel]; keys beyond the end score
// -infinity.
void pack_keys(const Attention& a, size_t h, size_t begin, size_t end, float* packed, float* bias) {
    for (size_t first = begin; first < end; first += panel, bias += panel) {
        const float* from[panel];
        for (size_t n = 0; n < panel; n++) {
            const size_t key = std::min(first + n, end - 1);
            from[n] = a.k + key * a.k_stride + h * a.head;
            bias[n] = a.key_bias ? a.key_bias[key] * log2_e : 0.f;
            if (first + n >= end) bias[n] = -std::numeric_limits<float>::infinity();
        }
        for (size_t i = 0; i < a.head; i++, packed += panel)
            for (size_t n = 0; n < panel; n++) packed[n] = from[n][i];
    }
}

// Values as value_tile reads them: [panel of columns][key][column in panel], columns beyond the head zero.
// The last panel is one vector wide when the number of vectors is odd.
void pack_values(const Attention& a, size_t h, size_t begin, size_t end, float* packed) {
    const size_t keys = end - begin;
    for (size_t c = 0; c < a.head; c += panel) {
        const size_t columns = std::min(panel, a.head - c), width = round_up(columns, lanes);
        for (size_t n = 0; n < keys; n++, packed += width) {
            std::memcpy(packed, a.v + (begin + n) * a.v_stride + h * a.head + c, columns * sizeof(float));
            std::fill(packed + columns, packed + width, 0.f);
        }
    }
}

// Rows [first, last) as score_tile reads them, [tile][head][row in tile], scaled; the last row fills the last
// tile.
void pack_rows(const Attention& a, size_t h, size_t first, size_t last, float* packed) {
    const float scale = log2_e / std::sqrt(static_cast<float>(a.head));
    for (size_t row = first; row < last; row += tile) {
        const float* from[tile];
        for (size_t r = 0; r < tile; r++)
            from[r] = a.q + std::min(row + r, last - 1) * a.q_stride + h * a.head;
        for (size_t i = 0; i < a.head; i++, packed += tile)
            for (size_t r = 0; r < tile; r++) packed[r] = from[r][i] * scale;
    }
}

void attention_rows(const Attention& a, size_t h, size_t first, size_t last, AttentionScratch& scratch) {
    const size_t fitting = std::clamp(block_floats / a.head, panel, most_keys_at_once);
    const size_t blocks = (a.keys + fitting - 1) / fitting;
    const size_t keys_at_once = round_up((a.keys + blocks - 1) / blocks, panel);
    const size_t score_stride = keys_at_once + panel; // so that rows do not share cache sets
    const size_t head_wide = round_up(a.head, lanes), rows = round_up(last - first, tile);
    float* const q = scratch.q.of(rows * a.head);
    float* const k = scratch.k.of(a.head * keys_at_once);
    float* const v = scratch.v.of(head_wide * keys_at_once);
    float* const bias = scratch.bias.of(keys_at_once);
    float* const scores = scratch.scores.of(tile * score_stride);
    float* const sums = scratch.sums.of(rows * head_wide);
    float* const largest = scratch.largest.of(rows);
    float* const total = scratch.total.of(rows);
    pack_rows(a, h, first, last, q);
    std::fill_n(sums, rows * head_wide, 0.f);
    std::fill_n(largest, rows, std::numeric_limits<float>::lowest());
    std::fill_n(total, rows, 0.f);

    for (size_t begin = 0; begin < a.keys; begin += keys_at_once) {
        const size_t end = std::min(a.keys, begin + keys_at_once), keys = end - begin;
        pack_keys(a, h, begin, end, k, bias);
        pack_values(a, h, begin, end, v);
        for (size_t r = 0; r < rows; r += tile) {
            for (size_t n = 0; n < keys; n += panel)
                score_tile(q + r * a.head, k + n * a.head, bias + n, a.head, scores + n, score_stride);
            float correction[tile];
            for (size_t i = 0; i < tile; i++)
                correction[i] = weights_of(scores + i * score_stride, round_up(keys, panel), largest[r + i],
                                           total[r + i]);
            float* const o = sums + r * head_wide;
            for (size_t c = 0; c < head_wide; c += panel) {
                if (head_wide - c >= panel)
                    value_tile<2>(scores, score_stride, v + c * keys, keys, correction, o + c, head_wide);
                else
                    value_tile<1>(scores, score_stride, v + c * keys, keys, correction, o + c, head_wide);
            }
        }
    }
    for (size_t r = first; r < last; r++) {
        const float* from = sums + (r - first) * head_wide;
        float* to = a.out + r * a.out_stride + h * a.head;
        const V share = hn::Set(F(), 1.f / total[r - first]);
        along(a.head, [&](size_t i, auto some) HWY_ATTR {
            put<StoreF32>(hn::Mul(get<StoreF32>(from + i, some), share), to + i, some);
        });
    }
}

void attention(const Attention& a, size_t h, size_t first, size_t last, AttentionScratch& scratch) {
    for (size_t r = first; r < last; r += most_rows_at_once)
        attention_rows(a, h, r, std::min(last, r + most_rows_at_once), scratch);
}

} // namespace mc::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace mc::kernels {
HWY_EXPORT(attention);
void attention(const Attention& a, size_t h, size_t first, size_t last) {
    thread_local AttentionScratch scratch;
    HWY_DYNAMIC_DISPATCH(attention)(a, h, first, last, scratch);
}
} // namespace mc::kernels
#endif
