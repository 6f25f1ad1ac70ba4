// SPDX-License-Identifier: LGPL-2.1-or-later
#include "engine/huge_memory.h"

#include <ATen/ATen.h>
#include <cstdlib>
#include <cstring>
#include <new>
#include <sys/mman.h>

namespace mc {

namespace {
constexpr int64_t HUGE_PAGE = 2 << 20, BLOCK = 16 << 20; // bytes
}

// Of huge pages as far as the system gives them; not cleared.
static at::Tensor huge_space(at::IntArrayRef shape, at::ScalarType type, int64_t bytes) {
    const size_t size = (bytes + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE;
    void* memory = std::aligned_alloc(HUGE_PAGE, size);
    if (!memory) throw std::bad_alloc();
    madvise(memory, size, MADV_HUGEPAGE); // advice: where it is not taken nothing is lost but time
    return at::from_blob(
        memory, shape, [](void* m) { std::free(m); }, at::TensorOptions(type));
}

at::Tensor huge_zeros(at::IntArrayRef shape, at::ScalarType type) {
    int64_t bytes = int64_t(c10::elementSize(type));
    for (int64_t side : shape) bytes *= side;
    if (bytes < HUGE_PAGE) return at::zeros(shape, type);
    at::Tensor space = huge_space(shape, type, bytes);
    std::memset(space.mutable_data_ptr(), 0, bytes);
    return space;
}

// Pieces mostly come in many of one size: a block ends where one of them does. The unused rest of a block is never
// written, and so takes no memory.
at::Tensor HugeArena::take(int64_t bytes) {
    const int64_t size = (bytes + 63) / 64 * 64;
    if (!block_.defined() || used_ + size > block_.numel()) {
        const int64_t block = size ? (BLOCK + size - 1) / size * size : BLOCK;
        block_ = huge_space({block}, at::kByte, block);
        used_ = 0;
    }
    used_ += size;
    at::Tensor piece = block_.narrow(0, used_ - size, bytes);
    std::memset(piece.mutable_data_ptr(), 0, bytes);
    return piece;
}

} // namespace mc
