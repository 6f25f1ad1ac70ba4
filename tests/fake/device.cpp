// SPDX-License-Identifier: LGPL-2.1-or-later
// What ATen asks of a device: an allocator, guards of devices and streams, hooks.
#include <ATen/detail/PrivateUse1HooksInterface.h>
#include <c10/core/CachingDeviceAllocator.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>
#include <cstring>

#include "engine/own_stream.h"
#include "tests/fake/memory.h"

namespace mc::fake {

namespace {

struct Allocator final : c10::DeviceAllocator {
    c10::DataPtr allocate(size_t n) override {
        void* p = n ? Memory::get().take(n) : nullptr;
        return {p, p, &give, c10::Device(KIND, current_device())};
    }
    static void give(void* p) {
        if (p) Memory::get().give(p);
    }
    c10::DeleterFnPtr raw_deleter() const override { return &give; }
    void copy_data(void* to, const void* from, size_t n) const override {
        std::memcpy(Memory::get().shadow_of(to), Memory::get().shadow_of(from), n);
    }
    bool initialized() override { return true; }
    void emptyCache(c10::MempoolId_t) override { Memory::get().give_back(); }
    void recordStream(const c10::DataPtr&, c10::Stream) override {}
    c10::CachingDeviceAllocator::DeviceStats getDeviceStats(c10::DeviceIndex) override {
        const Use use = Memory::get().use();
        c10::CachingDeviceAllocator::DeviceStats stats{};
        stats.allocated_bytes[0].current = int64_t(use.used);
        stats.allocated_bytes[0].peak = int64_t(use.most);
        stats.reserved_bytes[0].current = int64_t(use.reserved);
        return stats;
    }
    void resetAccumulatedStats(c10::DeviceIndex) override {}
    void resetPeakStats(c10::DeviceIndex) override { Memory::get().forget_most(); }
    std::pair<size_t, size_t> getMemoryInfo(c10::DeviceIndex) override {
        const Use use = Memory::get().use();
        return {Memory::get().capacity - std::min(use.reserved, Memory::get().capacity),
                Memory::get().capacity};
    }
};

struct Guard final : c10::impl::DeviceGuardImplInterface {
    c10::DeviceType type() const override { return KIND; }
    c10::Device exchangeDevice(c10::Device d) const override {
        const c10::Device old = getDevice();
        setDevice(d);
        return old;
    }
    c10::Device getDevice() const override { return {KIND, current_device()}; }
    void setDevice(c10::Device d) const override { set_current_device(d.index()); }
    void uncheckedSetDevice(c10::Device d) const noexcept override { set_current_device(d.index()); }
    static c10::Stream stream(c10::StreamId id, c10::Device d) {
        return c10::Stream(c10::Stream::UNSAFE, d, id);
    }
    c10::Stream getStream(c10::Device d) const override { return stream(current_stream(), d); }
    c10::Stream getDefaultStream(c10::Device d) const override { return stream(0, d); }
    c10::Stream getStreamFromGlobalPool(c10::Device d, bool) const override {
        static std::atomic<c10::StreamId> next{0};
        return stream(1 + next++ % 32, d);
    }
    c10::Stream exchangeStream(c10::Stream s) const override {
        return stream(exchange_stream(s.id()), s.device());
    }
    c10::DeviceIndex deviceCount() const noexcept override { return 2; }
    void synchronizeDevice(c10::DeviceIndex) const override { Memory::get().waited(true); }
    void synchronizeStream(const c10::Stream& s) const override {
        const c10::StreamId old = exchange_stream(s.id());
        Memory::get().waited(false);
        exchange_stream(old);
    }
    bool queryStream(const c10::Stream&) const override { return true; }
    void record(void** event, const c10::Stream& s, c10::DeviceIndex, c10::EventFlag) const override {
        Memory::get().check_lost();
        if (!*event) *event = new Memory::Past;
        *static_cast<Memory::Past*>(*event) = Memory::get().past_of(s.id());
        counts.events++;
    }
    void block(void* event, const c10::Stream& s) const override {
        Memory::get().check_lost();
        if (event) Memory::get().wait_in(s.id(), *static_cast<const Memory::Past*>(event));
    }
    bool queryEvent(void*) const override { return true; }
    void destroyEvent(void* event, c10::DeviceIndex) const noexcept override {
        delete static_cast<Memory::Past*>(event);
    }
};

struct Hooks final : at::PrivateUse1HooksInterface {
    bool isBuilt() const override { return true; }
    bool isAvailable() const override { return true; }
    void init() const override {}
    bool hasPrimaryContext(c10::DeviceIndex) const override { return true; }
    c10::DeviceIndex deviceCount() const override { return 2; }
    c10::DeviceIndex getCurrentDevice() const override { return current_device(); }
    void setCurrentDevice(c10::DeviceIndex d) const override { set_current_device(d); }
    bool isPinnedPtr(const void* p) const override { return is_pinned(p); }
    c10::Allocator* getPinnedMemoryAllocator() const override { return pinned_allocator(); }
};

C10_REGISTER_GUARD_IMPL(PrivateUse1, Guard)

const Workspaces workspaces{[](int) { return int64_t(WORKSPACE); },
                            [] { Memory::get().give_workspaces(); }};

Allocator allocator;
const bool registered = [] {
    c10::SetAllocator(KIND, &allocator);
    c10::register_privateuse1_backend("fake");
    at::RegisterPrivateUse1HooksInterface(new Hooks);
    register_workspaces(KIND, &workspaces);
    return true;
}();

} // namespace
} // namespace mc::fake
