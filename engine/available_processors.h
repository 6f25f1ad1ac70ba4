// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// How many processors this process may use at once: those of its affinity (taskset, cpusets), and no more than the
// quota of the control groups that it is in (containers), rounded up. No Torch.
#include <filesystem>

namespace mc {

// At least 1. root: where /proc and /sys are.
int available_processors(const std::filesystem::path& root = "/");

} // namespace mc
