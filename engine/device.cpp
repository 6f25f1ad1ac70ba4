// SPDX-License-Identifier: LGPL-2.1-or-later
#include "engine/device.h"

#include <c10/core/CachingDeviceAllocator.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include "engine/own_stream.h"
#include "engine/pinned_memory.h"

namespace mc {

void wait_for(at::Device device) {
    if (!device.is_cpu()) c10::impl::VirtualGuardImpl(device.type()).synchronizeDevice(device.index());
}

at::Tensor upload(const at::Tensor& host, at::Device device) {
    if (device.is_cpu()) return host;
    at::Tensor pinned = pinned_memory(host.sizes(), host.scalar_type());
    pinned.copy_(host);
    // The allocator of pinned memory keeps it until the copy is done.
    return pinned.to(device, pinned.scalar_type(), /*non_blocking=*/true);
}

DeviceMemory device_memory(at::Device device) {
    c10::DeviceAllocator* allocator = c10::getDeviceAllocator(device.type());
    const auto [free, total] = allocator->getMemoryInfo(device.index());
    const auto stats = allocator->getDeviceStats(device.index());
    constexpr auto all = size_t(c10::CachingAllocator::StatType::AGGREGATE);
    const int64_t kept = stats.reserved_bytes[all].current - stats.allocated_bytes[all].current;
    return {int64_t(free) + kept, int64_t(total)};
}

void give_back_memory(at::Device device) {
    if (device.is_cpu()) return;
    try {
        clear_workspaces(device);
        c10::getDeviceAllocator(device.type())->emptyCache();
    } catch (const std::exception&) { // of a device that is lost
    }
}

std::optional<c10::Stream> new_stream(at::Device device) {
    if (device.is_cpu()) return {};
    return c10::impl::VirtualGuardImpl(device.type()).getStreamFromGlobalPool(device);
}

} // namespace mc
