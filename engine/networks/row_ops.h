// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// What lies between the products of a transformer on a device: operations on rows of activations, one after the other
// in memory, in the type in which they are stored (float32 or bfloat16). By the kernels of kernels/rows where the
// device has them (engine/device_kernels.h) and rows suit them; else in ATen's operators, which run on any device.
#include <ATen/core/Tensor.h>

#include "kernels/rows/rows.h"

namespace mc::networks {

class RowOps {
  public:
    // Rows that ATen turns into float32 tensors at a time, where it does the work.
    static constexpr int64_t ROWS_AT_ONCE = 2048;
    // head: width of a head; eps of all norms.
    RowOps(at::Device device, int64_t width, int64_t head, double eps);

    // A number for every channel: [D], or [groups, D] of which a row takes that of its group. float32.
    using Table = at::Tensor;

    //     x[r] = round(x[r] + gate delta[r]);   out[r] = round(norm(x[r]) (base + mult) + add)
    // x, delta, out: [rows, D]. No delta: x stays. No gate: 1. No out: the residual alone. group: [rows] int32, for all
    // tables that have groups.
    struct Norm {
        at::Tensor x, delta;
        Table gate, mult, add;
        float base; // 1 where mult is a scale
        at::Tensor group, out;
    };
    void residual_norm(const Norm& a) const;

    // The product of queries, keys and values, [rows, 3 D], to where attention reads them: q and k through an RMS norm
    // over all heads and rotary position embedding, v as it is.
    struct Projection {
        at::Tensor qkv;
        at::Tensor gain_q, gain_k; // [D] float32
        at::Tensor cosine, sine;   // [positions, head / 2] float32
        at::Tensor position;       // [rows] int32
        at::Tensor q;              // [rows, D]
        at::Tensor keys_values;    // [slots, D]
        at::Tensor slot;           // [rows] int32: of the key
        int64_t value_slots;       // from a key's slot to its value's
    };
    void project(const Projection& a) const;

    // RMS norm over all heads, in place. x: [rows, D], gain: [D] float32.
    void rms(const at::Tensor& x, const at::Tensor& gain) const;

    // What a chunk's tokens put out, of which only some went through the layers (kernels::Reuse has the formulas).
    struct Reuse {
        at::Tensor in;           // [tokens, D]: input of the layers
        at::Tensor x;            // [computed rows, D]: their output
        at::Tensor row;          // [tokens] int32: of x, or -1
        at::Tensor residual;     // [tokens, D], or undefined: then every token was computed, and none is kept
        at::Tensor slope, level; // [tokens, D], [tokens] float32, or undefined
        float level_now;
        at::Tensor out; // [tokens, D]
    };
    void reuse(const Reuse& a) const;

    // mean |x - y| / (mean |y| + 1e-8) of each row: [rows] float32. x, y: [rows, D].
    void change(const at::Tensor& x, const at::Tensor& y, const at::Tensor& out) const;

    bool products_end_in_gelu() const { return launch_ && launch_->products_end_in_gelu; }

  private:
    const kernels::rows::Launchers* launch_ = nullptr; // nullptr: in ATen
    int64_t head_;
    double eps_;
};

} // namespace mc::networks
