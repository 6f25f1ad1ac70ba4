// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// Pieces from GPU to GPU by NCCL.
#include "engine/ranks/device_link.h"

namespace mc::nccl {

extern const ranks::DeviceLinks links;

} // namespace mc::nccl
