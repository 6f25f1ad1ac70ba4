// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// A fake accelerator: ATen's device "fake:0" (PrivateUse1), computed by the CPU's kernels, with the habits of a GPU
// that code written on a CPU forgets. A program that links it can open models on it.
//  * Tensors hold addresses without any access; kernels work on the same memory at a fixed distance. Host code that
//    follows a device pointer faults where it stands.
//  * A CPU tensor among device tensors is refused, as CUDA refuses it; numbers of dimension 0 pass. So is one of
//    fake:1 among those of fake:0.
//  * Attention takes no mask of another type than the queries', as CUDA's kernels do.
//  * New and freed memory is full of NaN.
//  * Freed memory stays with the allocator until it is told to give it back.
//  * Every wait of the host is counted, and a copy out of ordinary memory is one. A copy out of pinned memory is none,
//    and what is written there before the next wait is noticed.
//  * What one stream wrote and another reads without a wait or an event between them is noticed.
//  * Products take memory of their own in each stream, and keep it, as cuBLAS does.
//  * Where it is told to, attention is cuDNN's, as it is on newer GPUs: with a plan for each new shape.
//  * Memory ends where it is told to, any allocation can be made to fail, on the device and of what the host shares
//    with it, and the device can be lost.
// It is blind to speed, CUDA's numerics and alignment.
#include <atomic>
#include <c10/core/Device.h>
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace mc::fake {

inline c10::Device device(c10::DeviceIndex index = 0) {
    return {c10::DeviceType::PrivateUse1, index};
}

struct Counts {
    std::atomic<int64_t> kernels{0}, attention{0};
    std::atomic<int64_t> plans{0}; // of attention, made anew
    std::atomic<int64_t> uploads{0}, downloads{0}; // of these some wait
    std::atomic<int64_t> upload_bytes{0};
    std::atomic<int64_t> events{0}; // recorded
    std::atomic<int64_t> waits{0};
    std::atomic<int64_t> races{0}; // each was thrown as well, where that is possible
};
extern Counts counts;

// Bytes that what is neither a product of matrices nor attention has read and written, by its name, since the last
// call. A tensor counts as often as an operator reads or writes it, whatever a cache would spare.
std::map<std::string, int64_t> take_bytes();

// Without them the device has ATen's operators alone, as one has that brings no kernels of its own.
void use_kernels(bool use);

// ATen prefers cuDNN's attention, which makes a plan for each new shape.
void prefer_cudnn(bool prefer);

struct Use {
    size_t used, reserved, most, allocations; // reserved: used, and freed but kept; most: of `used`
};
Use use();
void forget_most(); // from now on

constexpr size_t WORKSPACE = 256 << 10; // of products, in each stream that had some

constexpr size_t ALL = size_t(64) << 30;
void set_capacity(size_t bytes); // in place of ALL

// From now on until places(): of each allocation from a place that was not seen before, by its chain of calls, the
// number of allocations before it. So a test can make every place fail in turn.
void watch_places();
std::vector<int64_t> places();

// Makes one allocation fail: the one after `after` others. What CUDA throws depends on who asks for memory. That of
// memory which the host shares fails in a way of its own.
enum class Failure { NONE, ALLOCATOR, LIBRARY, LOST };
void fail(Failure how, int64_t after);
bool failed_pinned(); // whether the last one that failed was of that memory

} // namespace mc::fake
