// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// The weights of the transformer as its layers use them. Names in comments: docs/algorithms.md#block.
#include <vector>

#include "engine/networks/layer_stream.h"
#include "engine/networks/linear.h"
#include "engine/networks/wan_dit/config.h"
#include "engine/networks/wan_dit/text_context.h"
#include "engine/networks/wan_dit/transformer.h"
#include "kernels/attention.h"

namespace mc::wan_dit {

struct Layer {
    at::Tensor modulation; // [6, D] float32: shift, scale, gate of self-attention, then of the FFN
    networks::Linear self_q, self_k, self_v, self_out;
    networks::Linear self_qkv;           // [3D, D], on devices: those are parts of it
    at::Tensor self_norm_q, self_norm_k; // [D] float32
    at::Tensor norm3_weight, norm3_bias; // [D] float32: affine norm before cross-attention
    networks::Linear cross_q, cross_kv, cross_out;
    at::Tensor cross_norm_q, cross_norm_k; // [D] float32
    networks::Linear ffn_in, ffn_out;
};

struct Transformer::Impl : networks::Numerics {
    model::TransformerConfig config;
    bool in_bytes = false; // the matrices of the layers
    std::shared_ptr<Workers> workers; // that hold the same transformer; null: none
    HugeArena arena; // of what is packed
    networks::Linear patch; // [D, 4C]: channel slowest, then row, column of the patch
    networks::Linear text_in, text_out;
    networks::Linear time_in, time_out; // float32 in every precision, as the references keep them
    networks::Linear time_proj;
    at::Tensor fps_embedding; // [2, D] or undefined
    networks::Linear fps_in, fps_out;
    std::vector<Layer> layers;
    // The layers whose weights the host keeps. What only texts need, cross_kv, is in ordinary memory there; modulations
    // stay on the device.
    mutable networks::StreamedLayers streamed;
    void move_out(size_t layer);
    at::Tensor modulations;     // [layers, 6, D] float32: of all layers, which hold views of it
    at::Tensor head_modulation; // [2, D] float32: shift, scale
    networks::Linear head;                // [4C, D]: row, column of the patch slowest, channel fastest
    std::shared_ptr<ranks::DeviceLink> link; // of all ranks; null: what they exchange goes by way of the hosts

    // y = x W^T + b in float32, x rounded to the precision: whole tensors, for few rows and for the plain forward.
    at::Tensor apply(const networks::Linear& linear, const at::Tensor& x, networks::CallCount* count) const;
    // A view of memory that holds keys and values of one layer, as kernels::attention reads them.
    kernels::KeyValues key_values(const at::Tensor& memory, int64_t capacity, int64_t heads) const;
    int64_t key_value_bytes(int64_t capacity, int64_t heads) const;
};

// All that a forward reads of a layer's weights, but for the modulation; of a layer that is on the device.
std::vector<at::Tensor*> tensors_of_forward(Layer& layer);

// [C, f, h, w] -> [f * h/2 * w/2, 4C] and back from [tokens, 4C].
at::Tensor patchify(const at::Tensor& latents);
at::Tensor unpatchify(const at::Tensor& tokens, int64_t channels, int64_t frames, int64_t height,
                      int64_t width);

// out[r, head] = softmax(q[r, head] . k[., head] / sqrt(d) + key_bias) v[., head], whole tensors on any device: for the
// plain forward. q, out: [m, D], k, v: [n, D]; key_bias: [n] float32 or undefined.
void attend(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const at::Tensor& key_bias,
            int64_t heads, at::Tensor out, networks::CallCount* count);

} // namespace mc::wan_dit
