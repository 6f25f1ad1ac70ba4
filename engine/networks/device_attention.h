// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
#include <ATen/core/Tensor.h>

namespace mc::networks {

// softmax(q k / sqrt(head)) v by ATen, on any device. q: [batch, heads, rows, head]; k, v: [batch, heads, keys, head].
// comes_again: such numbers of rows and keys come in every step, as those of whole chunks do; not a number of tokens
// that a cache has picked.
at::Tensor device_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, bool comes_again);

} // namespace mc::networks
