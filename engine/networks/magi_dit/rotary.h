// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// Rotary position embedding with learned bands (docs/algorithms.md#magi-rope).
#include <ATen/core/Tensor.h>

namespace mc::magi_dit {

// [(frames - first) * rows * columns, 3 * bands] float32 each: those of latent frames [first, frames) of a video,
// angles of time, row, column.
struct Rotary {
    at::Tensor cosine, sine;
};
Rotary rotary_tables(const at::Tensor& bands, int64_t first, int64_t frames, int64_t rows, int64_t columns);

} // namespace mc::magi_dit
