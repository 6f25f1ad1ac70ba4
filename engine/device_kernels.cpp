// SPDX-License-Identifier: LGPL-2.1-or-later
#include "engine/device_kernels.h"

#include <array>
#include <atomic>

namespace mc {

static std::atomic<const kernels::Launchers*>& entry(c10::DeviceType type) {
    static std::array<std::atomic<const kernels::Launchers*>, c10::COMPILE_TIME_MAX_DEVICE_TYPES> table{};
    return table.at(size_t(type));
}

const kernels::Launchers* device_kernels(c10::DeviceType type) {
    return entry(type);
}
void register_kernels(c10::DeviceType type, const kernels::Launchers* launchers) {
    entry(type) = launchers;
}

} // namespace mc
