// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// Lets the source of a CUDA kernel (.cu) compile as C++ and run on the CPU, block after block, each thread a fiber: its
// indices, bounds, shared memory, barriers and shuffles are those that run on a GPU. With `backwards` the fibers go in
// the opposite order: a result that changes is a race. A barrier that not all threads reach throws.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <stdexcept>
#include <ucontext.h>
#include <vector>

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __restrict__
#define __shared__ static
struct uint3 {
    unsigned x = 0, y = 0, z = 0;
};
struct dim3 {
    unsigned x = 1, y = 1, z = 1;
    dim3(unsigned x, unsigned y = 1, unsigned z = 1) : x(x), y(y), z(z) {}
    dim3() = default;
};
enum cudaError_t { cudaSuccess = 0, cudaErrorInvalidValue = 1 };
inline cudaError_t cudaGetLastError() {
    return cudaSuccess;
}
using cudaStream_t = void*;
struct alignas(16) uint4 {
    uint32_t x, y, z, w;
};

namespace cuda_on_cpu {
struct Barrier {
    unsigned arrived = 0, round = 0;
};
struct Thread {
    ucontext_t at;
    uint3 index;
    unsigned linear = 0;
    bool done = false;
};
struct Block {
    ucontext_t scheduler;
    std::vector<Thread> threads;
    std::vector<std::vector<char>> stacks;
    Barrier all;
    std::vector<Barrier> warp;
    std::vector<uint64_t> slot; // a shuffle's value, one per thread
    Thread* now = nullptr;
    dim3 size, grid;
    uint3 index;
    std::function<void()> body;
    void yield() {
        Thread* t = now;
        swapcontext(&t->at, &scheduler);
    }
    void wait(Barrier& b, unsigned count) {
        const unsigned round = b.round;
        if (++b.arrived == count)
            b.arrived = 0, b.round++;
        else
            while (b.round == round) yield();
    }
    void wait_warp() {
        const unsigned w = now->linear / 32, n = std::min<unsigned>(32, unsigned(threads.size()) - 32 * w);
        wait(warp[w], n);
    }
};
inline thread_local Block* block;
inline bool backwards = false;

// Apart from the loops: getcontext returns twice.
[[gnu::noinline]] inline void prepare(Block& b, Thread& t, std::vector<char>& stack) {
    getcontext(&t.at);
    t.at.uc_stack.ss_sp = stack.data(), t.at.uc_stack.ss_size = stack.size(), t.at.uc_link = &b.scheduler;
    makecontext(
        &t.at,
        +[] {
            block->body();
            block->now->done = true;
        },
        0);
}

inline unsigned rounds_of(const Block& b) {
    unsigned rounds = b.all.round;
    for (const Barrier& w : b.warp) rounds += w.round;
    return rounds;
}

inline void run_block(Block& b) {
    const unsigned n = unsigned(b.threads.size());
    b.all = {}, b.warp.assign((n + 31) / 32, {});
    for (unsigned i = 0; i < n; i++) {
        Thread& t = b.threads[i];
        t.linear = i, t.done = false;
        t.index = {i % b.size.x, i / b.size.x % b.size.y, i / (b.size.x * b.size.y)};
        prepare(b, t, b.stacks[i]);
    }
    for (unsigned left = n, before = n + 1; left; before = left) {
        const unsigned rounds = rounds_of(b);
        left = 0;
        for (unsigned i = 0; i < n; i++) {
            Thread& t = b.threads[backwards ? n - 1 - i : i];
            if (t.done) continue;
            b.now = &t, swapcontext(&b.scheduler, &t.at);
            left += !t.done;
        }
        if (left && left == before && rounds_of(b) == rounds)
            throw std::logic_error("threads wait for each other: a barrier that not all reach");
    }
}

inline void run(dim3 grid, dim3 size, std::function<void()> body) {
    Block b;
    b.size = size, b.grid = grid, b.body = std::move(body), block = &b;
    const unsigned n = size.x * size.y * size.z;
    b.threads.resize(n), b.stacks.assign(n, std::vector<char>(64 << 10)), b.slot.resize(n);
    for (unsigned z = 0; z < grid.z; z++)
        for (unsigned y = 0; y < grid.y; y++)
            for (unsigned x = 0; x < grid.x; x++) b.index = {x, y, z}, run_block(b);
}
template <typename T>
T shuffle(T v, unsigned from) {
    Block& b = *block;
    const unsigned base = b.now->linear / 32 * 32;
    std::memcpy(&b.slot[b.now->linear], &v, sizeof v);
    b.wait_warp();
    std::memcpy(&v, &b.slot[base + from], sizeof v);
    b.wait_warp();
    return v;
}
} // namespace cuda_on_cpu

#define MC_LAUNCH(kernel, grid, threads, stream, ...)                                                        \
    cuda_on_cpu::run(grid, threads, [&, unused = stream] { (void)unused, kernel(__VA_ARGS__); })

#define threadIdx (cuda_on_cpu::block->now->index)
#define blockIdx (cuda_on_cpu::block->index)
#define blockDim (cuda_on_cpu::block->size)
#define gridDim (cuda_on_cpu::block->grid)
inline void __syncthreads() {
    cuda_on_cpu::block->wait(cuda_on_cpu::block->all, unsigned(cuda_on_cpu::block->threads.size()));
}
inline void __syncwarp() {
    cuda_on_cpu::block->wait_warp();
}
template <typename T>
T __shfl_xor_sync(unsigned, T v, unsigned mask) {
    return cuda_on_cpu::shuffle(v, (cuda_on_cpu::block->now->linear % 32) ^ mask);
}
inline float rsqrtf(float x) {
    return 1 / std::sqrt(x);
}
