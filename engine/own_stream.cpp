// SPDX-License-Identifier: LGPL-2.1-or-later
#include "engine/own_stream.h"

#include <array>
#include <atomic>
#include <mutex>
#include <vector>

#include "engine/device.h"

namespace mc {

namespace {

std::mutex working;
int at_work = 0;

std::atomic<const Workspaces*>& workspaces_of(c10::DeviceType type) {
    static std::array<std::atomic<const Workspaces*>, c10::COMPILE_TIME_MAX_DEVICE_TYPES> table{};
    return table.at(size_t(type));
}

std::mutex streams_mutex;
std::vector<c10::Stream>& free_streams() {
    static auto* streams = new std::vector<c10::Stream>; // sessions may end after everything else
    return *streams;
}

} // namespace

AtWork::AtWork() {
    const std::lock_guard lock(working);
    at_work++;
}
AtWork::~AtWork() {
    const std::lock_guard lock(working);
    at_work--;
}

void clear_workspaces(c10::Device device) {
    // Who begins meanwhile waits: a product that has its workspace and has not begun would lose it.
    const std::lock_guard lock(working);
    const Workspaces* kept = workspaces_of(device.type());
    if (kept && at_work == 0) kept->clear();
}

void register_workspaces(c10::DeviceType type, const Workspaces* workspaces) {
    workspaces_of(type) = workspaces;
}
int64_t workspace_bytes(c10::Device device) {
    const Workspaces* taken = device.is_cpu() ? nullptr : workspaces_of(device.type()).load();
    return taken ? taken->bytes(device.index()) : 0;
}

OwnStream::OwnStream(c10::Device device) {
    if (device.is_cpu()) return;
    clear_workspaces(device); // what is planned from here on counts them
    at_work_.emplace();
    {
        const std::lock_guard lock(streams_mutex);
        std::vector<c10::Stream>& free = free_streams();
        for (size_t i = free.size(); i-- > 0 && !stream_;) // the last one that was given back is the warmest
            if (free[i].device() == device) {
                stream_ = free[i];
                free.erase(free.begin() + static_cast<std::ptrdiff_t>(i));
            }
    }
    if (!stream_) stream_ = new_stream(device);
}
OwnStream::~OwnStream() {
    if (!stream_) return;
    const std::lock_guard lock(streams_mutex);
    free_streams().push_back(*stream_);
}

} // namespace mc
