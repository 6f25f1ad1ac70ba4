#pragma once
// Inside of transformer::Window: what is sized by the window, shared by the fast and the plain forward.
#include <utility>

#include "engine/transformer/layers.h"
#include "engine/transformer/rotary.h"

namespace mc::transformer {

struct Window::Impl {
    const Transformer::Impl& model;
    Shape shape;
    int64_t frame_tokens, tokens;
    Rotary rotary;
    CallCount count;

    // Timesteps are few where chunks share one: rows of modulation are kept per distinct timestep.
    std::vector<int64_t> timesteps; // of the embedding below, per frame
    std::vector<int64_t> distinct;
    std::vector<int64_t> frame_group; // [frames] -> index into distinct
    at::Tensor row_group;             // [tokens] int32
    TimeEmbedding time;               // [distinct, ...]

    // Workspace of the fast forward, allocated once.
    at::Tensor x, y, delta;    // [tokens, D]
    at::Tensor qkv;            // [tokens, 3D]
    at::Tensor hidden;         // [ffn_rows, F]
    at::Tensor velocity;       // [C, f, h, w] float32
    int64_t ffn_rows = 0;

    Impl(const Transformer::Impl& model, const Shape& shape);
    void embed_time(const std::vector<int64_t>& timesteps);
    // [queries begin, queries end, keys end) in tokens: one attention call each.
    struct Span {
        int64_t begin, end, keys;
    };
    std::vector<Span> spans() const;

    at::Tensor forward_fast(const at::Tensor& latents, const TextContext& text, Cancel cancel, const Trace& trace);
    at::Tensor forward_plain(const at::Tensor& latents, const TextContext& text, Cancel cancel, const Trace& trace);
};

} // namespace mc::transformer
