// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// Rotary position embedding over (latent frame, row, column) (docs/algorithms.md#rope).
#include <ATen/core/Tensor.h>

namespace mc::wan_dit {

// [frames * rows * columns, head / 2] float32 each, pairs ordered time, row, column. Angles in float64.
struct Rotary {
    at::Tensor angle, cosine, sine;
};
Rotary rotary_tables(int64_t frames, int64_t rows, int64_t columns, int64_t head);

} // namespace mc::wan_dit
