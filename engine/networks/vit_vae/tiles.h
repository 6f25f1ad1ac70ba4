// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// Tiles in space of one stretch of time: where they begin, and how what was made of them becomes one picture again. For
// latents and pixels alike, which differ in the lengths of the sides.
#include <ATen/core/Tensor.h>
#include <functional>
#include <vector>

namespace mc::vit_vae {

// Of one axis. `stride`: from one tile's begin to the next one's.
struct Axis {
    int64_t size, tile, stride;
    int64_t count() const { return (size + stride - 1) / stride; }
    int64_t begin(int64_t i) const { return i * stride; }
    int64_t length(int64_t i) const { return std::min(tile, size - begin(i)); }
};

// How results are joined: over `extent` rows and columns a tile passes from its neighbour to itself, and all but the
// first `stride` of each are cut off.
struct Blend {
    Axis rows, columns; // of the results
    int64_t extent_rows, extent_columns;
    // Whether the neighbours above and to the left count as they are already blended, or as they were made.
    bool with_blended;
};

// made(i, j): the result [channels, frames, rows, columns] of the tile in row i and column j. Written to `into`, of the
// whole size.
void join_tiles(const Blend& how, const std::function<at::Tensor(int64_t i, int64_t j)>& made,
                const at::Tensor& into);

} // namespace mc::vit_vae
