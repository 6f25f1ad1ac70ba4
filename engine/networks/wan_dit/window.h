// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// Inside of wan_dit::Window: what is sized by the window, shared by the forwards of the CPU, of devices and the
// plain one.
#include <array>
#include <memory>
#include <span>
#include <utility>

#include "engine/networks/blocks.h"
#include "engine/networks/wan_dit/layers.h"
#include "engine/networks/wan_dit/rotary.h"
#include "engine/networks/wan_dit/time_table.h"
#include "engine/networks/wan_dit/token_share.h"

namespace mc::wan_dit {

struct Window::Impl {
    const Transformer::Impl& model;
    Shape shape;
    int64_t frame_tokens, tokens;       // of a latent frame, of the window
    int64_t chunk_frames, chunk_tokens; // of what one ChunkWork stands for
    int chunks;
    Rotary rotary;
    TimeTable time;
    networks::CallCount count;
    networks::Blocks blocks;
    bool plain = false;

    // Of each branch and chunk, [branch * chunks + chunk]: what a later forward reuses.
    struct Memory {
        // [chunk_tokens, D] type of the store: output - input of the layers, as last computed
        at::Tensor residual;
        at::Tensor slope; // [chunk_tokens, D] type of the store: residual's change with sigma; CacheReuse::TAYLOR
        at::Tensor level; // [chunk_tokens] float32: sigma at which it was computed; NaN: never
        at::Tensor last;  // [frame_tokens, D]: output of the last frame when it was last seen with motion
        bool has_last = false;
    };
    std::vector<Memory> memory;
    Memory& memory_of(const ChunkWork& w) { return memory[w.branch * chunks + w.chunk]; }

    // Keys and values: of every layer and branch for KV; else of a layer alone, on the CPU in two halves that layers
    // take in turn, so that the next layer's may be written while this one's are still read.
    std::vector<at::Tensor> keys_values;  // fast: bytes of kernels::KeyValues
    std::vector<at::Tensor> keys, values; // plain: [tokens, D] type of the store
    // Devices: [branches (keys, values) tokens, D], of which those are parts. In bytes: codes, their scales [., heads],
    // and the numbers of the layer that is at work.
    std::vector<at::Tensor> layer_keys, layer_scales;
    at::Tensor open_keys;
    size_t layer_slot(size_t layer) const {
        if (shape.attention == Attention::KV) return layer;
        return model.device.is_cpu() ? layer % 2 : 0;
    }
    size_t slot_of(size_t layer, int branch) const { return layer_slot(layer) * shape.branches + branch; }
    size_t layers_kept() const;

    at::Tensor x, q; // [rows at once, D]: the tokens that go through the layers
    at::Tensor in;   // [tokens, D]: patch embeddings, of the chunks in the work
    at::Tensor out;  // [rows at once, D]: the layers' output where a cache or motion wants it
    std::vector<at::Tensor> velocity; // one per branch: [C, f, h, w] float32
    std::vector<Change> changes;
    bool waited = true; // for all that the last forward asked of the device
    // Null: all is in this process. Else `shape` is that of rank 0's part, and `velocity` has that of every branch.
    std::unique_ptr<SpreadWindow> spread;
    std::unique_ptr<TokenShare> share; // the rows are divided among a team; null: they are all taken here
    void leave_team();                 // see Window

    // What one forward runs: tokens in the order of the work, each a row.
    struct Span { // rows that attend to the same keys
        size_t work;
        int branch;
        int64_t begin, end, keys;
    };
    struct Pass {
        std::vector<Span> spans;
        std::vector<int32_t> token;       // [rows]: of the window; its position and the slot of its key
        std::vector<int32_t> group;       // [rows]: index of its latent frame's timestep in `distinct`
        std::vector<int64_t> first_row;   // of each work
        std::vector<int32_t> token_row;   // of each work's tokens, one work after the other: its row, or -1
        std::vector<int64_t> first_slot;  // of each work in token_row
        std::vector<int64_t> distinct;    // timesteps
        std::vector<int32_t> frame_group; // [frames]: index into distinct; -1: not in the work
        int64_t rows = 0;
    } pass;
    static const TextContext& text_of(const ChunkWork& w, std::span<const TextContext* const> text) {
        return w.text ? *w.text : *text[w.branch];
    }
    int64_t heads() const { return share ? share->heads() : model.config.heads; } // whose keys and values are here
    void lay_out(const std::vector<int64_t>& timesteps, std::span<const ChunkWork> work);
    // Window::forward of what is computed here.
    void run(const at::Tensor& latents, const std::vector<int64_t>& timesteps,
             std::span<const TextContext* const> text, std::span<const ChunkWork> work, Cancel cancel,
             const Trace& trace);

    Impl(const Transformer::Impl& model, const Shape& shape, std::unique_ptr<TokenShare> share);
    void allocate_for_fast();
    void allocate_for_plain();
    void allocate_for_device();
    void count_layers(std::span<const TextContext* const> text, std::span<const ChunkWork> work);
    void forward_fast(const at::Tensor& latents, std::span<const TextContext* const> text,
                      std::span<const ChunkWork> work, Cancel cancel, const Trace& trace);
    void forward_device(const at::Tensor& latents, std::span<const TextContext* const> text,
                        std::span<const ChunkWork> work, Cancel cancel, const Trace& trace);
    void forward_plain(const at::Tensor& latents, std::span<const TextContext* const> text,
                       std::span<const ChunkWork> work, Cancel cancel, const Trace& trace);
};

} // namespace mc::wan_dit
