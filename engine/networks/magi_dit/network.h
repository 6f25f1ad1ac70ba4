// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// The weights of MAGI-1's transformer as its layers use them (docs/algorithms.md#magi-dit).
#include <vector>

#include "engine/networks/layer_stream.h"
#include "engine/networks/magi_dit/passes.h"

namespace mc::magi_dit {

using networks::Call;
using networks::Linear;

// A matrix product whose weights may be of eight bits, which bfloat16 holds exactly: then its input is divided by a
// scale per channel and rounded to eight bits, and the product multiplied by a number (docs/algorithms.md#magi-fp8).
struct Product {
    Linear linear;
    at::Tensor input_scale; // [in] float32; undefined: as usual
    float output_scale = 1;
    bool eight_bits() const { return input_scale.defined(); }
    int64_t bytes() const { return linear.bytes() + (eight_bits() ? static_cast<int64_t>(input_scale.nbytes()) : 0); }
};

struct NormWeights {
    at::Tensor weight, bias; // float32; weight: with 1 added where the files keep weight - 1, as for most norms
};

struct Layer {
    NormWeights norm;    // before both attentions, [D]
    Product q, k, v, qx; // x: of the cross-attention
    Product proj;        // its ins are those of the self-attention, then those of the cross-attention
    Linear kv_text;      // of each group its key, then its value
    NormWeights q_norm, k_norm, qx_norm, kx_norm; // [head]
    Linear gates;                          // of the attentions, then of the MLP
    NormWeights attention_post, mlp_norm, mlp_post;
    Product fc1, fc1_gate, fc2; // fc1_gate: of a gated MLP
};

// The matrices of a layer, and what else is alike in all layers: what goes to the host with it. Norms and scales stay.
std::vector<at::Tensor*> tensors_of_forward(Layer& layer);

struct Text {
    struct Keys {
        at::Tensor k, v;   // [rows, groups, head], type of the store; k after its norm
        at::Tensor packed; // k and v packed for kernels::KeyValues; on the CPU
    };
    int64_t rows = 0;
    std::vector<Keys> layers;
    int64_t flop = 0; // spent on making it
};

struct Network::Impl : networks::Numerics {
    model::MagiDitConfig config;
    HugeArena arena;
    Linear patch;             // [D, 4C] float32: channel slowest, then row, column of the patch
    Linear time_in, time_out; // float32, like everything outside the layers
    Linear caption_text, caption_mode;
    at::Tensor null_caption; // [text_rows, text_width] float32
    at::Tensor modes;        // [2, condition] float32: with a caption, without
    at::Tensor bands;        // [head / 8] float32
    std::vector<Layer> layers;
    // The layers whose weights the host keeps. What only texts need, kv_text, is in ordinary memory there.
    mutable networks::StreamedLayers streamed;
    void move_out(size_t layer);
    NormWeights final_norm;
    Linear head; // [4 latent channels, D] float32: row, column of the patch slowest, channel fastest

    // y = x W^T + b in float32, not rounded; whole tensors, for few rows and for the plain forward.
    at::Tensor apply(const Linear& linear, const at::Tensor& x, CallCount* count) const;
    at::Tensor apply(const Product& product, const at::Tensor& x, CallCount* count) const;
    // apply() for few rows: on the CPU without unpacking, and to equal bits with any number of threads.
    at::Tensor apply_by_rows(const Linear& linear, const at::Tensor& x, CallCount* count) const;
    // Normed to mean 0 and variance 1 over the last dimension, then weight and bias.
    at::Tensor normed(const NormWeights& norm, const at::Tensor& x) const;
    // The conditions of chunks: [n, condition] on the precision's grid.
    at::Tensor conditions(std::span<const Work> work, CallCount* count) const;
    // [n, 2, D]: gates of a layer for these conditions, on the precision's grid.
    at::Tensor gates(const Layer& layer, const at::Tensor& conditions, CallCount* count) const;
    // [n, D]: rows of text through the caption embedder; and to keys and values.
    at::Tensor embedded_text(const at::Tensor& rows, CallCount* count) const;
    std::shared_ptr<const Text> text_of(const at::Tensor& embedded, Cancel cancel, CallCount& count) const;
    kernels::KeyValues text_keys(const Text& text, size_t layer) const;
};

// x rounded to numbers of eight bits (e4m3), after division by `scale` [in], bounded by the largest one and rounded to
// bfloat16: float32 that holds them.
at::Tensor rounded_to_e4m3(const at::Tensor& x, const at::Tensor& scale);

} // namespace mc::magi_dit
