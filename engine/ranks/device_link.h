// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// What carries pieces between the devices of ranks, not by way of their hosts. The CUDA module (with NCCL), or a test,
// registers it for its kind of device.
#include <ATen/core/Tensor.h>
#include <chrono>
#include <memory>
#include <string>
#include <vector>

namespace mc::ranks {

// What one rank gives to another, or gets: contiguous, on any device; empty: nothing.
struct Piece {
    int rank; // the other
    at::Tensor part;
};

class DeviceLink {
  public:
    virtual ~DeviceLink() = default;
    // Group::exchange of pieces on the device, in the order of the calling thread's current stream; the host goes on at
    // once. Throws when it was aborted or fails.
    virtual void exchange(const std::vector<Piece>& to, const std::vector<Piece>& from) = 0;
    // From any thread:
    struct State {
        std::string fault;                    // why it cannot go on; empty: it can
        std::chrono::milliseconds waiting{0}; // how long the device has been about one exchange
    };
    virtual State state() = 0;
    // From any thread, when a rank is lost: a thread that waits for the device goes on, with whatever has arrived.
    virtual void abort() noexcept = 0;
};

struct DeviceLinks {
    const char* what;                      // "NCCL"
    std::string (*name)(at::Device device); // of no other device of any host; empty: the library is missing here
    std::string (*key)();                  // rank 0 makes it, all ranks open the link with it
    // All ranks at the same time; throws when one does not come within `limit`.
    std::unique_ptr<DeviceLink> (*open)(at::Device device, const std::string& key, int rank, int size,
                                        std::chrono::milliseconds limit);
};
// nullptr: this kind of device has none.
const DeviceLinks* device_links(c10::DeviceType type);
// `links` live as long as the program.
void register_links(c10::DeviceType type, const DeviceLinks* links);

} // namespace mc::ranks
