// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// Memory for large data that is read repeatedly: weights, keys and values. In huge pages where the system has any to
// give, because walking a few thousand small pages takes as long as the arithmetic on few rows.
#include <ATen/core/Tensor.h>

namespace mc {

// Zeros, on the CPU. Small tensors lie in ordinary memory.
at::Tensor huge_zeros(at::IntArrayRef shape, at::ScalarType type);

// Hands out pieces, aligned to 64 bytes, of blocks that live as long as a piece does. One thread at a time.
class HugeArena {
  public:
    at::Tensor take(int64_t bytes); // [bytes] uint8, zero

  private:
    at::Tensor block_;
    int64_t used_ = 0;
};

} // namespace mc
