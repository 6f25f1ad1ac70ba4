// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// Working memory that a thread keeps from call to call, because freshly mapped memory is slower than arithmetic.
#include <hwy/aligned_allocator.h>

#include <cstddef>
#include <new>

namespace mc::kernels {

class Buffer {
  public:
    // `n` floats, aligned for any vector; what they hold is undefined.
    float* of(size_t n) {
        if (n > size) {
            floats = hwy::AllocateAligned<float>(n);
            size = floats ? n : 0;
            if (!floats) throw std::bad_alloc();
        }
        return floats.get();
    }

  private:
    hwy::AlignedFreeUniquePtr<float[]> floats;
    size_t size = 0;
};

struct AttentionScratch {
    Buffer bias, scores, sums, largest, total;
};

} // namespace mc::kernels
