// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// What ATen offers of any device beside the CPU, without linking one: waiting, copies that do not wait, free memory,
// streams. On the CPU none of it does anything.
#include <ATen/core/Tensor.h>
#include <c10/core/StreamGuard.h>
#include <cstdint>
#include <optional>

namespace mc {

// Until all that was asked of the device is done.
void wait_for(at::Device device);

// On the device, in the current stream's order. The host goes on at once: the numbers pass through pinned memory.
at::Tensor upload(const at::Tensor& host, at::Device device);

struct DeviceMemory {
    int64_t free, total; // free: to this process, what its allocator has kept included
};
DeviceMemory device_memory(at::Device device);
// What was freed on the device and kept for later, to the system; on the CPU by the C library. Throws nothing.
void give_back_memory(at::Device device);

// A stream of its own, so that other work on the device is not waited for, and does not wait for ours.
std::optional<c10::Stream> new_stream(at::Device device);

// The calling thread works in a stream, on its device. A thread starts on device 0 and its default stream.
class InStream {
  public:
    explicit InStream(const std::optional<c10::Stream>& stream) {
        if (stream) guard_.reset_stream(*stream);
    }

  private:
    c10::OptionalStreamGuard guard_;
};

} // namespace mc
