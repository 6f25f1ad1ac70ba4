// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// Counts what ATen takes on the CPU while it lives: the truth that estimates of memory are compared with.
// What was taken meanwhile must be given back before it ends.
#include <c10/core/CPUAllocator.h>

#include <atomic>
#include <cstdlib>

namespace mc::test {

class CountingAllocator final : public c10::Allocator {
  public:
    CountingAllocator() { c10::SetCPUAllocator(this, 1); }
    ~CountingAllocator() override { c10::SetCPUAllocator(below_, 1); }
    c10::DataPtr allocate(size_t n) override {
        auto* block =
            static_cast<Block*>(std::aligned_alloc(sizeof(Block), (n / sizeof(Block) + 2) * sizeof(Block)));
        *block = {this, int64_t(n)};
        const int64_t held = held_ += block->bytes;
        for (int64_t most = peak; held > most && !peak.compare_exchange_weak(most, held);) {
        }
        return {block + 1, block + 1, &release, at::kCPU};
    }
    c10::DeleterFnPtr raw_deleter() const override { return &release; }
    void copy_data(void* to, const void* from, size_t n) const override { default_copy_data(to, from, n); }
    std::atomic<int64_t> peak{0}; // bytes

  private:
    struct alignas(64) Block { // lies before what is handed out
        CountingAllocator* counting;
        int64_t bytes;
    };
    static void release(void* memory) {
        auto* block = static_cast<Block*>(memory) - 1;
        block->counting->held_ -= block->bytes;
        std::free(block);
    }
    c10::Allocator* below_ = c10::GetCPUAllocator();
    std::atomic<int64_t> held_{0};
};

} // namespace mc::test
