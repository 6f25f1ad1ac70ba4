// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// R-KV: which keys of finished chunks are kept (docs/algorithms.md#magi-compression). By importance, what the latest
// queries look at, and by how little a key repeats the others.
#include <ATen/core/Tensor.h>

#include "engine/request/fields.h"

namespace mc::magi1 {

struct CompressionSettings {
    using Queries = KvQueries; // TOKENS: the last 50; FRAME: the last frame; CHUNK: all
    Queries queries = Queries::FRAME;
    // What scores of single tokens are multiplied by, along their places. NONE: nothing; FIRST_CHUNK: its tokens are
    // never kept; EXPONENTIAL, POLYNOMIAL, UPPER_CONVEX favour late tokens, GAUSSIAN early ones.
    enum class Weighting { NONE, FIRST_CHUNK, EXPONENTIAL, POLYNOMIAL, UPPER_CONVEX, GAUSSIAN };
    Weighting weighting = Weighting::NONE;
    // What is kept or not as one: tokens of each group of heads, frames, chunks.
    enum class Unit { TOKEN, FRAME, CHUNK } unit = Unit::TOKEN;
    double power = 3;     // of POLYNOMIAL and UPPER_CONVEX
    double mix = 0.07;    // share of importance; the rest is repetition, which counts against
    int pool = 7;         // tokens over which the largest importance counts
};

struct Kept {
    at::Tensor score; // [groups, tokens], or [groups, units] of frames or chunks
    at::Tensor index; // [budget, groups]: tokens, by falling score
};
// Of a chunk's queries so many are looked at, the last ones.
int64_t asking_tokens(CompressionSettings::Queries queries, int64_t frame_tokens, int64_t chunk_tokens);
// keys: [tokens, groups, head], normed and rotated; queries: [tokens, heads, head] of one
// chunk, the last asking_tokens of them at least, where it computed as many. budget: tokens to keep.
Kept select_keys(const at::Tensor& keys, const at::Tensor& queries, int64_t budget, int64_t frame_tokens,
                 int64_t chunk_tokens, const CompressionSettings& settings);

} // namespace mc::magi1
