// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// What the module that stands in for a GPU was asked to do, since the process began.
#include <atomic>

#include "engine/motioncache.h"

struct FakeGpuCounts {
    std::atomic<int> opened{0}, pools{0};
    std::atomic<int> device{-1};                             // that was opened last
    std::atomic<int> written_there{0}, written_here{0};      // planes that were mapped for it
    std::atomic<int> uploads{0}, downloads{0};
};

extern "C" MC_API FakeGpuCounts* fake_gpu_counts();
