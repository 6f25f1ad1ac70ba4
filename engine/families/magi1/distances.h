// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// What a cache policy is told of chunks: how far they moved from step to step, and from frame to frame
// (docs/algorithms.md#magi-distances).
#include <ATen/core/Tensor.h>
#include <vector>

#include "engine/cache/policy.h"

namespace mc::magi1 {

// Of patch embeddings [tokens, D] now and in the row before: of all together, or of each token. bfloat16: every
// operation rounded, as the published code has it; the quotient then stands for the difference.
std::vector<cache::FrameDistance> distance(const at::Tensor& now, const at::Tensor& before, bool each_token,
                                           bool bfloat16);

// [frames, h / 2, w / 2] on the CPU: mean |x - frame before| over channels and the latent pixels of a token.
// x: [C, frames, h, w]; before: [C, h, w], of the first frame, undefined: the first frame itself.
at::Tensor frame_change(const at::Tensor& x, const at::Tensor& before);

} // namespace mc::magi1
