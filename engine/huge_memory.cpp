#include "engine/huge_memory.h"

#include <ATen/ATen.h>
#include <cstdlib>
#include <cstring>
#include <new>
#include <sys/mman.h>

namespace mc {

static constexpr int64_t HUGE_PAGE = 2 << 20, BLOCK = 16 << 20;

at::Tensor huge_zeros(at::IntArrayRef shape, at::ScalarType type) {
    int64_t bytes = static_cast<int64_t>(c10::elementSize(type));
    for (int64_t side : shape) bytes *= side;
    if (bytes < HUGE_PAGE) return at::zeros(shape, type);
    const size_t size = (bytes + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE;
    void* memory = std::aligned_alloc(HUGE_PAGE, size);
    if (!memory) throw std::bad_alloc();
    madvise(memory, size, MADV_HUGEPAGE); // advice: where it is not taken nothing is lost but time
    std::memset(memory, 0, bytes);
    return at::from_blob(memory, shape, [](void* m) { std::free(m); }, at::TensorOptions(type));
}

at::Tensor HugeArena::take(int64_t bytes) {
    const int64_t size = (bytes + 63) / 64 * 64;
    if (!block_.defined() || used_ + size > block_.numel()) {
        block_ = huge_zeros({std::max(size, BLOCK)}, at::kByte);
        used_ = 0;
    }
    used_ += size;
    return block_.narrow(0, used_ - size, bytes);
}

} // namespace mc
