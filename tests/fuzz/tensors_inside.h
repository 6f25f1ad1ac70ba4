#pragma once
// A reader's result must lie inside what it was given, and reading all of it must be allowed.
#include <cstddef>

#include "engine/error.h"
#include "engine/model/tensor_view.h"

namespace mc::fuzz {

inline void require_inside(const model::TensorMap& tensors, const std::byte* data, size_t size) {
    unsigned sum = 0;
    for (const auto& [name, view] : tensors) {
        if (model::byte_count(view.dtype, view.shape) != view.bytes) __builtin_trap();
        if (view.bytes == 0) continue;
        if (view.data < data || view.bytes > size || size_t(view.data - data) > size - view.bytes)
            __builtin_trap();
        // The sanitizer watches; both ends are enough, shared storages could make whole sums long.
        sum += unsigned(view.data[0]) + unsigned(view.data[view.bytes - 1]);
    }
    volatile unsigned sink = sum;
    (void)sink;
}

} // namespace mc::fuzz
