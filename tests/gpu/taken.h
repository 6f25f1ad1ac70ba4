// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// What work takes of a device's memory at its worst moment, beside what is held when it begins. On the CPU: 0.
#include <c10/core/CachingDeviceAllocator.h>

namespace mc::test {

class Taken {
  public:
    explicit Taken(at::Device device)
        : index_(device.index()), allocator_(device.is_cpu() ? nullptr : c10::getDeviceAllocator(device.type())) {
        if (!allocator_) return;
        allocator_->resetPeakStats(index_);
        before_ = bytes().current;
    }
    int64_t most() const { return allocator_ ? bytes().peak - before_ : 0; }

  private:
    c10::CachingAllocator::Stat bytes() const {
        constexpr auto all = size_t(c10::CachingAllocator::StatType::AGGREGATE);
        return allocator_->getDeviceStats(index_).allocated_bytes[all];
    }
    const c10::DeviceIndex index_;
    c10::DeviceAllocator* const allocator_;
    int64_t before_ = 0;
};

} // namespace mc::test
