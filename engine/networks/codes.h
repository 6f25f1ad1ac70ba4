// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// Numbers kept in eight bits: groups of a row's elements with a scale each (kernels::rows::Codes has the formula). By
// the device's kernels where it has them, else in ATen.
#include <ATen/core/Tensor.h>

namespace mc::networks {

// quantize reads rows and writes code and scale, restore the other way round.
// rows: [., width] float32 or bfloat16, code: [., width] int8, scale: [., groups] float32, slot: [count] int32, the
// rows that are meant in all three, or undefined: all.
void quantize(const at::Tensor& rows, const at::Tensor& code, const at::Tensor& scale,
              const at::Tensor& slot = {});
void restore(const at::Tensor& code, const at::Tensor& scale, const at::Tensor& rows,
             const at::Tensor& slot = {});

} // namespace mc::networks
