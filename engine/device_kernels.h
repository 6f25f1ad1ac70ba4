// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// Kernels of this program for a kind of device. The CUDA module, or the device of a test, registers them.
#include <c10/core/DeviceType.h>

#include "kernels/launchers.h"

namespace mc {

// nullptr: this kind of device has none, and ATen's operators take their place.
const kernels::Launchers* device_kernels(c10::DeviceType type);
// `launchers` live as long as the program.
void register_kernels(c10::DeviceType type, const kernels::Launchers* launchers);

} // namespace mc
