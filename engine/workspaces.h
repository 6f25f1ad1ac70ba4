// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// Memory of a device that its libraries take beside tensors. No Torch: the module of a device fills it.
#include <cstdint>

namespace mc {

struct Workspaces {
    // Bytes that matrix products take in each stream that has some: some versions of LibTorch for as long as a product
    // lasts, others for good.
    int64_t (*bytes)(int device);
    void (*clear)(); // gives back what is kept for good; while nobody is at work
};

} // namespace mc
