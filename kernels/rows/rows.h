// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// What devices do to rows between the products of a transformer: the operations of kernels.h as a device runs them, on
// products that lie in memory in the type of the store, with a row's arithmetic in one source for host and device
// (residual_norm.h and the others here). Stores are F32 and BF16. Widths, heads and strides are multiples of 8
// elements, pointers of 16 bytes.
#include "kernels/kernels.h"

namespace mc::kernels::rows {

constexpr size_t EIGHT = 8;         // elements that a lane takes at once
constexpr size_t MOST_WIDTH = 5120; // a row lies in the registers of a warp: 14B's

// kernels::ResidualNorm; strides in elements, 0 where a table is the same for all rows:
//     x[r] = round(x[r] + gate[g] delta[r]);   out[r] = round(norm(x[r]) (base + mult[g]) + add[g])      g = group[r]
struct ResidualNorm {
    void* x;           // [rows, width]
    const void* delta; // [rows, width]; nullptr: x stays
    const float* gate; // nullptr: 1
    const float *mult, *add; // [groups, width] or [width], as gate
    const int32_t* group; // [rows]; nullptr where no table has groups
    void* out;            // [rows, width]; nullptr: the residual alone
    size_t rows, width, x_stride, delta_stride, gate_stride, norm_stride, out_stride;
    float base, eps;
    Store store;
};

// kernels::RmsRope, with the rounding of its input already done. Without gain, the row as it is. Row r goes to row
// slot[r] of out where there are slots.
struct RmsRope {
    const void* in;                 // [rows, width]
    const float* gain;              // [width]
    const float *cosine, *sine;     // [positions, head / 2], or nullptr
    const int32_t *position, *slot; // [rows]
    void* out;                      // may be `in`
    size_t width, head, in_stride, out_stride;
    float eps;
    Store store;
};

// Several of them for the same rows in one launch: queries, keys and values.
struct Projection {
    RmsRope part[3];
    size_t parts, rows;
};

// kernels::frame_change.
struct Change {
    const void *x, *y;
    float* change; // [rows]
    size_t rows, width, x_stride, y_stride;
    Store store;
};

// Of a group with nothing larger than this every code is 0: 127 over it would be infinite.
constexpr float LEAST_CODED = 1e-36f;
// Numbers of eight bits, each `group` of a row's elements with a scale of its own: in = scale code, code in [-127,
// 127]. Where slots are given, row r lies at row slot[r] of all that is read and written.
struct Codes {
    void* rows;                 // [., width]: read by `quantize`, written by `restore`
    int8_t* code;               // [., width], without gaps
    float* scale;               // [., width / group]
    const int32_t* slot;        // [count] or nullptr
    size_t count, width, group; // group: a multiple of 8, which divides the width
    Store store;                // of rows, which have no gaps
};

// The row operations that a kind of device brings: a part of kernels::Launchers (kernels/launchers.h).
struct Launchers {
    // Whether the device's library ends a product in GELU by tanh where it is asked to (cuBLASLt does).
    bool products_end_in_gelu;
    void (*residual_norm)(const ResidualNorm&);
    void (*project)(const Projection&);
    void (*reuse)(const Reuse&);
    void (*change)(const Change&);
    void (*quantize)(const Codes&); // groups of at most 256
    void (*restore)(const Codes&);
};

} // namespace mc::kernels::rows
