// SPDX-License-Identifier: LGPL-2.1-or-later
#include "engine/pinned_memory.h"

#include <ATen/ops/empty.h>
#include <string>

#include "engine/error.h"

namespace mc {

at::Tensor pinned_memory(at::IntArrayRef sizes, at::ScalarType type) {
    std::string detail;
    try {
        return at::empty(sizes, at::TensorOptions(type).pinned_memory(true));
    } catch (const c10::Error& e) {
        detail = e.what_without_backtrace();
        if (detail.find("out of memory") == std::string::npos) throw; // a device that is lost
    }
    const int64_t bytes = c10::multiply_integers(sizes) * int64_t(c10::elementSize(type));
    throw Error(MC_ERROR_MEMORY,
                "The system gave no " + std::to_string((bytes + (1 << 20) - 1) >> 20) +
                    " MiB of main memory that stays in place for the GPU to read: raise the limit of locked memory "
                    "(ulimit -l), or close what takes memory.",
                detail);
}

} // namespace mc
