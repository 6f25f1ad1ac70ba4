// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// Inside of Passes: what is sized by the picture, shared by the optimised and the plain forward.
#include <map>
#include <span>
#include <vector>

#include "engine/networks/blocks.h"
#include "engine/networks/magi_dit/network.h"
#include "engine/networks/magi_dit/rotary.h"

namespace mc::magi_dit {

struct Passes::Impl {
    const Network::Impl& model;
    const Shape shape;
    const int64_t frame_tokens, chunk_tokens;
    const bool plain;
    std::map<int, Rotary> rotary; // of a position, [chunk_tokens, 3 bands]; at most one more than work at once
    CallCount count;
    networks::Blocks blocks;
    // Fast: the tokens that go through the layers, and beside each other what both attentions take and give.
    at::Tensor x, both; // [rows, D], [rows, 2 D] type of the store
    void make_room();
    // Hidden channels of the MLP at a time.
    int64_t ffn_part() const {
        const int64_t made = model.config.gated ? 2 : 1;
        return networks::Blocks::ffn_part(made * model.config.ffn) / made;
    }

    // What one forward runs: tokens in the order of the work, each a row.
    struct Pass {
        std::vector<int64_t> first_row; // of each work, and behind the last one
        std::vector<int32_t> token;     // [rows]: of the chunk; the slot of its key in the page
        std::vector<int32_t> work;      // [rows]
        int64_t rows() const { return static_cast<int64_t>(token.size()); }
    } pass;
    void lay_out(std::span<const Work> work);
    const Rotary& rotary_of(int position);
    void drop_rotary(std::span<const Work> work); // all but those that are wanted now, where there are too many

    // Of unit tests that begin in the middle: the first layer alone, from a hidden state [rows, D] and conditions
    // [works, condition] of their own.
    struct Midway {
        at::Tensor hidden, conditions;
    };
    std::optional<Midway> middle;
    size_t layers() const { return middle ? 1 : model.layers.size(); }

    Impl(const Network::Impl& model, const Shape& shape, bool plain);
    void check(std::span<const Work> work, const KeyStore& keys) const;
    void count_layers(std::span<const Work> work, const KeyStore& keys);
    void forward_fast(std::span<const Work> work, KeyStore& keys, Cancel cancel, const Trace& trace);
    void forward_plain(std::span<const Work> work, KeyStore& keys, Cancel cancel, const Trace& trace);
};

// [C, f, h, w] -> [f * h/2 * w/2, 4C], scaled and doubled as the patch embedding wants it.
at::Tensor patches_of(const model::MagiDitConfig& config, const at::Tensor& latents);

} // namespace mc::magi_dit
