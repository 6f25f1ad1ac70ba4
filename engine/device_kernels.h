// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// Kernels of this program for a kind of device. Who brings them (the CUDA module, a test's device) registers them.
#include <c10/core/DeviceType.h>

#include "kernels/rows/rows.h"

namespace mc {

// nullptr: this kind of device has none, and ATen's operators take their place.
const kernels::rows::Launchers* row_kernels(c10::DeviceType type);
// `launchers` live as long as the program.
void register_row_kernels(c10::DeviceType type, const kernels::rows::Launchers* launchers);

} // namespace mc
