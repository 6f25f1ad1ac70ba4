// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// Every kernel of the CPU: raw pointers, strides and sizes, nothing else. One thread works on the rows it is
// given; the caller divides the rows among threads.
//
// Each has a plain version in namespace mc::kernels::plain (kernels/plain.cpp): readable, always built, and what the
// optimised one (Highway, chosen at run time) is fuzzed against and timed beside in tests/kernels. Arithmetic is in
// float32; `bf16` storage is rounded to nearest even (by some kernels on some processors, what is below 2^-126 to 0).
#include <cstddef>
#include <cstdint>

namespace mc::kernels {

// Storage type for bfloat16: the upper half of a float32.
struct bf16 {
    uint16_t bits;
};

// Where activations live. F32: float32, not rounded. BF16: bfloat16 in memory. F32_AS_BF16: float32 in memory
// that holds only bfloat16 numbers: what BF16 computes, on processors whose bfloat16 arithmetic is slower
// than their float32 one.
enum class Store { F32, BF16, F32_AS_BF16 };

// One residual connection and the layer norm behind it, for rows [0, rows) of width `width`:
//
//     x[r]   = round(x[r] + (gate ? gate[g(r)] : 1) * round(delta[r]))                       if delta
//     out[r] = round((x[r] - mean) / sqrt(var + eps) * mult[n(r)] + add[n(r)])               if out
//
// with g(r) = group[r], n(r) = group_norm[r], 0 where that is nullptr. Rows of one timestep are a group, which shares a
// row of `gate` (there are `groups` of them) and one of `mult` and `add` (`groups_norm` of them). The two are numbered
// by themselves: a gate by timestep may come before a norm that has one affine weight for all rows. `mult` is 1 + scale
// or that weight, `add` the shift or its bias. delta comes from a linear layer: its float32 sums.
struct ResidualNorm {
    void* x;                   // [rows, width], type of `store`; updated in place
    const float* delta;        // [rows, width]; nullptr: no residual
    const float* gate;         // [groups, width] or nullptr
    const float* mult;         // [groups_norm, width]
    const float* add;          // [groups_norm, width]
    const int32_t* group;      // [rows] or nullptr: applies to gate
    const int32_t* group_norm; // [rows] or nullptr: applies to mult and add
    size_t group_stride;       // floats from one group's gate, mult, add row to the next
    void* out; // [rows, width], type of `store`; nullptr: residual only; may be `delta` where that is float
    size_t rows, width;
    size_t x_stride, delta_stride, out_stride; // elements from one row to the next
    float eps;
    Store store;
};
void residual_norm(const ResidualNorm& a);

// RMS norm over the whole width (all heads together), then rotary position embedding per head:
//
//     y = round(in[r]) * rsqrt(mean(round(in[r])^2) + eps) * gain
//     (y[2p], y[2p+1]) -> (y[2p] cos - y[2p+1] sin, y[2p] sin + y[2p+1] cos)    in each head, p < head/2
//
// cosine, sine: [positions, head/2]; row r uses position[r] (r when nullptr). cosine == nullptr: no rotation.
// Rounded (bf16 stores) after the norm and after the rotation, as Diffusers does.
struct RmsRope {
    const float* in;   // of a linear layer: row r at in + r*in_stride
    const float* gain; // [width]
    const float* cosine;
    const float* sine;
    const int32_t* position; // [rows] or nullptr
    void* out; // type of `store`, row r at out + r*out_stride elements; may be `in` where that is float
    size_t rows, width, head, in_stride, out_stride;
    float eps;
    Store store;
};
void rms_rope(const RmsRope& a);

// out = round(gelu_tanh(round(in))), rows of `width`; in: of a linear layer. out: type of `store`; may be
// `in` where that is float.
//     gelu_tanh(x) = x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3)));   -0 at -infinity, its limit
void gelu(const float* in, size_t in_stride, void* out, size_t out_stride, size_t rows, size_t width,
          Store store);

// out = round(gelu(round(in))) with gelu(x) = x (1 + erf(x / sqrt 2)) / 2; otherwise as gelu.
void gelu_erf(const float* in, size_t in_stride, void* out, size_t out_stride, size_t rows, size_t width,
              Store store);

// out = round(silu(round(u)) round(v)), rows of `width`; u, v: of linear layers. out: type of `store`; may be u or v
// where that is float.
void silu_gate(const float* u, size_t u_stride, const float* v, size_t v_stride, void* out, size_t out_stride,
               size_t rows, size_t width, Store store);

// Layer norm of each head by itself, then rotary position embedding of its first 2 `angles` channels, of which the
// first half and the second one are pairs:
//
//     y = (in - mean) / sqrt(var + eps) * gain + bias                 in = round(in), in each head
//     (y[p], y[p + angles]) -> (y[p] cos - y[p + angles] sin, y[p] sin + y[p + angles] cos)
//
// cosine, sine: [positions, angles]; row r uses position[r]. cosine == nullptr: no rotation. Rounded once.
struct HeadNorm {
    const float* in;          // of a linear layer
    const float *gain, *bias; // [head]
    const float *cosine, *sine;
    const int32_t* position; // [rows] where there is a rotation
    void* out;               // type of `store`; may be `in` where that is float
    size_t rows, width, head, angles, in_stride, out_stride;
    float eps;
    Store store;
};
void head_norm(const HeadNorm& a);

// A residual that is gated, then normed ("sandwich norm"), and the layer norm behind it:
//
//     d      = norm(gate[group[r]] * (round_delta ? round(delta[r]) : delta[r])) * post_gain + post_bias
//     x[r]   = round(x[r] + d)
//     out[r] = round(norm(x[r]) * gain + bias)                     not rounded where out_is_float
//
// with norm(y) = (y - mean) / sqrt(var + eps).
struct GatedNorm {
    void* x;            // [rows, width], type of `store`; updated in place
    const float* delta; // [rows, width]
    const float* gate;  // [groups, width], group_stride floats apart
    const int32_t* group;
    const float *post_gain, *post_bias, *gain, *bias; // [width]
    void* out; // type of `store`, or float; may be `delta` where that is float
    size_t rows, width, x_stride, delta_stride, group_stride, out_stride;
    float eps;
    bool round_delta, out_is_float;
    Store store;
};
void gated_norm(const GatedNorm& a);

// out = the nearest number of eight bits (e4m3: 4 of exponent, 3 of mantissa, up to 448) to bf16(clamp(in / scale[i])),
// stored as it is; rows of `width`, in and out: type of `store`, may be the same.
void round_to_e4m3(const void* in, size_t in_stride, const float* scale, void* out, size_t out_stride,
                   size_t rows, size_t width, Store store);

// How far each token has moved between two latent frames:
//     change[r] = mean |x[r] - y[r]| / (mean |y[r]| + 1e-8)
// x, y: [rows, width], type of `store`; strides in elements. change: [rows].
void frame_change(const void* x, size_t x_stride, const void* y, size_t y_stride, size_t rows, size_t width,
                  Store store, float* change);

// The VAE's norm and activation over channels-last rows (one row per position, `channels` wide):
//     y = x / max(|x|, 1e-12) * sqrt(channels) * gamma;   out = silu ? y * sigmoid(y) : y
// x, out: [rows, channels]; gamma: [channels]; out may be x.
void channel_norm(const float* x, const float* gamma, float* out, size_t rows, size_t channels, bool silu);

// The output of a chunk's tokens of which only some went through the layers, and what a later step reuses. For token t:
//
//     computed, row[t] >= 0:  out = x[row[t]];  fresh = round(out - in);
//                             slope = level[t] is a number ? round((fresh - residual) / (level_now - level[t])) : 0
//                             (0 too where the levels are equal);  residual = fresh;  level[t] = level_now
//     reused,   row[t] < 0:   out = round(in + residual + slope (level_now - level[t]))
//
// Without slope and level: residuals are repeated. Without residual: every token is computed and none kept.
struct Reuse {
    const void* in;     // [rows, width], type of `store`: input of the layers
    const void* x;      // [computed rows, width], type of `store`: output of the layers
    const int32_t* row; // [rows]
    void* residual;     // [rows, width], type of `store`, or nullptr
    void* slope;        // like residual
    float* level;       // [rows]
    float level_now;
    void* out; // [rows, width], type of `store`
    size_t rows, width;
    Store store;
};
void reuse(const Reuse& a);

// Conversions, n elements.
void to_bf16(const float* in, bf16* out, size_t n);
void from_bf16(const bf16* in, float* out, size_t n);
void round_to_bf16(float* x, size_t n); // in place, float32 that holds bfloat16 numbers

// ---- colour ----
// Pixels arrive as three float planes in [-1, 1] (clamped here; NaN is black), R, G, B, `plane_stride` floats
// apart, rows of `width` floats close together. 8-bit values are trunc(clamp(x/2 + 1/2, 0, 1) * 255) for RGB, as
// the reference saves them. I420 and NV12: BT.709 limited range from these 8-bit RGB values, in the fixed point
// of kernels/pixel.h (0.506 from the real value at most); chroma is the mean of two rows and of columns 2i-1,
// 2i, 2i+1 weighted 1:2:1 (sited at the left luma sample, "mpeg2"), the edge repeated. width and height even.
struct Picture {
    const float* rgb;
    size_t plane_stride, width, height;
};
void picture_to_rgb(const Picture& p, uint8_t* rgb, size_t stride);
void picture_to_i420(const Picture& p, uint8_t* const planes[3], const size_t strides[3]);
void picture_to_nv12(const Picture& p, uint8_t* const planes[2], const size_t strides[2]);

namespace plain {
void residual_norm(const ResidualNorm& a);
void rms_rope(const RmsRope& a);
void gelu(const float* in, size_t in_stride, void* out, size_t out_stride, size_t rows, size_t width,
          Store store);
void gelu_erf(const float* in, size_t in_stride, void* out, size_t out_stride, size_t rows, size_t width,
              Store store);
void silu_gate(const float* u, size_t u_stride, const float* v, size_t v_stride, void* out, size_t out_stride,
               size_t rows, size_t width, Store store);
void head_norm(const HeadNorm& a);
void gated_norm(const GatedNorm& a);
void round_to_e4m3(const void* in, size_t in_stride, const float* scale, void* out, size_t out_stride,
                   size_t rows, size_t width, Store store);
void frame_change(const void* x, size_t x_stride, const void* y, size_t y_stride, size_t rows, size_t width,
                  Store store, float* change);
void channel_norm(const float* x, const float* gamma, float* out, size_t rows, size_t channels, bool silu);
void reuse(const Reuse& a);
void to_bf16(const float* in, bf16* out, size_t n);
void from_bf16(const bf16* in, float* out, size_t n);
void round_to_bf16(float* x, size_t n);
void picture_to_rgb(const Picture& p, uint8_t* rgb, size_t stride);
void picture_to_i420(const Picture& p, uint8_t* const planes[3], const size_t strides[3]);
void picture_to_nv12(const Picture& p, uint8_t* const planes[2], const size_t strides[2]);
} // namespace plain

} // namespace mc::kernels
