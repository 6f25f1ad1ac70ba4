// SPDX-License-Identifier: LGPL-2.1-or-later
#include "engine/ranks/device_link.h"

#include <array>
#include <atomic>

namespace mc::ranks {

static std::atomic<const DeviceLinks*>& entry(c10::DeviceType type) {
    static std::array<std::atomic<const DeviceLinks*>, c10::COMPILE_TIME_MAX_DEVICE_TYPES> table{};
    return table.at(size_t(type));
}

const DeviceLinks* device_links(c10::DeviceType type) {
    return entry(type);
}
void register_links(c10::DeviceType type, const DeviceLinks* links) {
    entry(type) = links;
}

} // namespace mc::ranks
