// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// Softmax attention, one head of keys and a range of rows at a time, over keys and values that were laid out for it
// when they were made; the caller divides heads and rows among threads. Scores never reach memory: keys are
// taken block by block with a running maximum ("flash attention", Dao et al. 2022, after the online softmax
// of Milakov and Gimelshein 2018).
//
//     out[r, h] = round(sum over n of p[n] v[n, h])
//     p = softmax over n of (q[r, h] . k[n, h] / sqrt(head) + key_bias[n])
//
// Sums are float32; for BF16 each weight is rounded to bfloat16 before it multiplies v, and divided by the sum of the
// rounded ones. A row's result does not depend on the range that it was computed in. Any rows and heads; quickest
// where rows are a multiple of 12 and the head one of 16, with matrix units (gemm.h) both of 32.
#include <cstddef>
#include <cstdint>

#include "kernels/kernels.h"

namespace mc::kernels {

// Keys and values of one layer and branch. Keys of a head lie in panels of 32 keys, values in panels of up to
// 32 columns, so that both products stream them (BF16: pairs of channels, pairs of keys, for the pairwise
// product). The memory must be zero before the first write: what was never written is multiplied with 0.
struct KeyValues {
    void* memory;    // key_value_bytes(...), aligned to 64
    size_t capacity; // keys, at least 1
    size_t heads, head;
    Store store; // float for F32 and F32_AS_BF16 (the latter holds bfloat16 numbers), bf16 for BF16
};
size_t key_value_bytes(size_t capacity, size_t heads, size_t head, Store store);

// The first `keys` of them.
struct KeyRange {
    KeyValues kv;
    size_t keys;
};

// Puts row r of k and v in place of key slot[r] (first + r where slot is nullptr). k: type of the store; v:
// float, rounded to the store here. Threads may write different slots at once.
void write_keys(const KeyValues& kv, const int32_t* slot, size_t first, const void* k, size_t k_stride,
                const float* v, size_t v_stride, size_t rows);
// Prefetches the places of these keys, so that write_keys, a little later, need not wait for them.
void expect_keys(const KeyValues& kv, const int32_t* slot, size_t first, size_t rows);
// One key and value back, for tests and for moving them elsewhere: [heads * head] float each.
void read_key(const KeyValues& kv, size_t slot, float* k, float* v);
// Key and value of head `h` at one slot to another slot of the same or another memory: of the same head and store.
void copy_key(const KeyValues& from, size_t slot, const KeyValues& to, size_t to_slot, size_t h);

struct Attention {
    const void* q; // [rows, heads of q, head], rows q_stride elements apart; type of the store
    // Which keys take part: those of all ranges, in this order; at least one. All are of the same heads and store.
    const KeyRange* ranges;
    size_t range_count;
    const float* key_bias; // [keys] or nullptr; -infinity leaves a key out, but not every key
    void* out;             // like q, rows out_stride elements apart; may be q
    size_t q_stride, out_stride;
    // Heads of q that share a head of keys: as many belong to head 0 of the keys, the next ones to head 1, and so on.
    size_t queries_per_key = 1;
};
// Rows [first, last) of the heads of q that belong to head number `h` of the keys, which are read once for all of them.
// Each calling thread keeps working memory: 384 rows of a head at most and 40 KB, 90 KB with matrix units.
void attention(const Attention& a, size_t h, size_t first, size_t last);

namespace plain {
void attention(const Attention& a, size_t h, size_t first, size_t last);
}

} // namespace mc::kernels
