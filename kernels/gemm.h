// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// The matrix product of a linear layer, over weights that were laid out for it once:
//
//     c[r][o] = (accumulate ? c[r][o] : 0) + (bias ? bias[o] : 0) + sum over i of a[r][i] weight[o][i]
//
// Sums are float32. One thread works on the rows it is given; the caller divides rows among threads. A
// row's result depends neither on the rows beside it nor on how they were divided: each sum runs over i in
// order (BF16: over pairs, or over 32 ins that were added up before). Any rows, outs and ins; quickest where rows are a
// multiple of 12, or 32 with matrix units, outs one of 32, and with matrix units ins too.
#include <cstddef>

#include "kernels/kernels.h"

namespace mc::kernels {

// Whether this processor multiplies pairs of bfloat16 (AVX-512 BF16): what makes Store::BF16 fast here and in
// attention.h.
bool bf16_dot();
// Whether products of Store::BF16, here and in attention.h, go to matrix units: those of the processor, AMX, where the
// system lets this process use them; for tests an emulation, where the environment has MOTIONCACHE_AMX=emulated; none
// with MOTIONCACHE_AMX=off. The same answer for as long as the process lives.
enum class MatrixUnits { NONE, AMX, EMULATED };
MatrixUnits matrix_units();

// Weights in panels of 32 outs, zeros beyond the last one:
//     F32: float [panel][in][32]
//     BF16, F32_AS_BF16: bf16 [panel][in / 2][32][2], the pair of an odd last in filled with zero
// The same for matrix units, which take two tiles of 16 pairs by 16 outs of it at once.
constexpr size_t GEMM_PANEL = 32;
size_t packed_weight_bytes(size_t out, size_t in, Store store);
// weight: [out, in] close together; float for F32, bf16 else. packed: packed_weight_bytes, aligned to 64.
void pack_weight(const void* weight, size_t out, size_t in, Store store, void* packed);
void unpack_weight(const void* packed, size_t out, size_t in, Store store, void* weight);

struct Gemm {
    const void* a;              // [rows, in], rows a_stride elements apart; bf16 for BF16, else float
    const void* weight;         // packed
    size_t weight_in;           // ins of the packed weight
    size_t first_out, first_in; // where in it the product begins: multiples of 32 and of 2
    const float* bias;          // [out] from first_out on, or nullptr
    float* c;                   // [rows, out], rows c_stride floats apart
    size_t rows, out, in, a_stride, c_stride; // in at least 1
    bool accumulate;
    // What the thread will read afterwards, prefetched while the last panel is worked on: as much as a panel of these
    // ins; nullptr: nothing.
    const void* next;
    Store store;
};
void gemm(const Gemm& a);

namespace plain {
void gemm(const Gemm& a); // sums in double, each rounded once
}

} // namespace mc::kernels
