// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// What became of a chunk, for statistics and for observers.
#include <ATen/core/Tensor.h>
#include <cstdint>
#include <span>

#include "engine/sampler/chunk_turn.h"

namespace mc::sampler {

// Of one chunk, all branches together.
struct ChunkCount {
    int64_t turns = 0;                         // times that the chunk took part in a row, once per branch
    int64_t whole = 0, partial = 0, reused = 0; // of these: all tokens computed, some, none (cache::Action)
    int64_t extra = 0;                         // passes for keys and values alone
    int64_t tokens_computed = 0, tokens_reused = 0; // in turns
    ChunkCount& operator+=(const ChunkCount& o) {
        turns += o.turns, whole += o.whole, partial += o.partial, reused += o.reused, extra += o.extra;
        tokens_computed += o.tokens_computed, tokens_reused += o.tokens_reused;
        return *this;
    }
};

// One chunk's turn as it was run, for golden cases: the velocity of its frames [C, frames, h, w].
struct Turn {
    int row, branch;
    ChunkTurn turn;
    at::Tensor velocity;
    std::span<const float> weights; // that motion made for the next step; empty without
};

} // namespace mc::sampler
