// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// Softmax attention, one head and a range of rows at a time, over keys and values that were laid out for it
// when they were made; the caller divides heads and rows among threads. Scores never reach memory: keys are
// taken block by block with a running maximum ("flash attention", Dao et al. 2022, after the online softmax
// of Milakov and Gimelshein 2018).
//
//     out[r, h] = round(sum over n of p[n] v[n, h])
//     p = softmax over n of (q[r, h] . k[n, h] / sqrt(head) + key_bias[n])
//
// Sums are float32; for BF16 each p is rounded to bfloat16 on its way to v, and p are shares of their rounded
// total. A row's result does not depend on the range that it was computed in. Any rows and heads; quickest
// where rows are a multiple of 12 and the head one of 16.
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

// Puts row r of k and v in place of key slot[r] (first + r where slot is nullptr). k: type of the store; v:
// float, rounded to the store here. Threads may write different slots at once.
void write_keys(const KeyValues& kv, const int32_t* slot, size_t first, const void* k, size_t k_stride,
                const float* v, size_t v_stride, size_t rows);
// Fetches the places of these keys, so that write_keys, a little later, need not wait for them.
void expect_keys(const KeyValues& kv, const int32_t* slot, size_t first, size_t rows);
// One key and value back, for tests and for moving them elsewhere: [heads * head] float each.
void read_key(const KeyValues& kv, size_t slot, float* k, float* v);

struct Attention {
    const void* q; // [rows, heads, head], rows q_stride elements apart; type of the store
    KeyValues kv;
    const float* key_bias; // [keys] or nullptr; -infinity leaves a key out, but not every key
    void* out;             // [rows, heads, head], rows out_stride elements apart; type of the store; may be q
    size_t keys;           // how many of kv take part, from the first on; at least 1
    size_t q_stride, out_stride;
};
// Rows [first, last) of head number `h`. Each calling thread keeps working memory: 192 rows of a head and 60 KB.
void attention(const Attention& a, size_t h, size_t first, size_t last);

namespace plain {
void attention(const Attention& a, size_t h, size_t first, size_t last);
}

} // namespace mc::kernels
