// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// The sinusoids that times and step sizes are embedded as (docs/algorithms.md#magi-time).
#include <ATen/core/Tensor.h>

namespace mc::magi_dit {

// [128] float32: 10000^(-i / 128), with every operation in float32, since arguments of a thousand magnify the last bit.
at::Tensor frequencies();
// values: [n] float32. [n, 256]: cosines, then sines.
at::Tensor sinusoids(const at::Tensor& values);

} // namespace mc::magi_dit
