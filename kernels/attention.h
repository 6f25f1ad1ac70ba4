#pragma once
// Softmax attention in float32, one head and a range of rows at a time; the caller divides heads and rows
// among threads. Scores never reach memory: keys are taken block by block with a running maximum ("flash
// attention", Dao et al. 2022, after the online softmax of Milakov and Gimelshein 2018).
//
//     out[r, h] = sum over n of p[n] v[n, h],   p = softmax over n of (q[r, h] . k[n, h] / sqrt(head) +
//     key_bias[n])
//
// A row's result does not depend on the range that it was computed in. Each call lays out the head's keys and
// values for itself, at the cost of about twenty rows: ranges of a hundred rows and more are what pays.
#include <cstddef>

namespace mc::kernels {

struct Attention {
    const float* q;        // [rows, heads, head], rows q_stride floats apart
    const float* k;        // [keys, heads, head], rows k_stride floats apart
    const float* v;        // [keys, heads, head], rows v_stride floats apart
    const float* key_bias; // [keys] or nullptr; -infinity leaves a key out, but not every key
    float* out;            // [rows, heads, head], rows out_stride floats apart; may be q
    size_t keys, head;     // both at least 1; any head size, fastest in multiples of 16
    size_t q_stride, k_stride, v_stride, out_stride;
};
// Rows [first, last) of head number `h`. Each calling thread keeps up to 3.5 MB of working
// memory.
void attention(const Attention& a, size_t h, size_t first, size_t last);

namespace plain {
void attention(const Attention& a, size_t h, size_t first, size_t last);
}

} // namespace mc::kernels
