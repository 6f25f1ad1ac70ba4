// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// A reader's result must lie inside the file it was given, and reading it must be allowed.
#include "engine/error.h"
#include "tests/model/memory_file.h"

namespace mc::fuzz {

inline std::shared_ptr<const model::DataFile> file_of(const uint8_t* data, size_t size) {
    return std::make_shared<test::MemoryFile>("fuzz", data, size);
}

// MemoryFile traps on what lies outside. Elements that share bytes can make a small file's tensors endless: of those
// that are longer than files of this fuzzer nothing is read.
inline void require_inside(const model::TensorMap& tensors) {
    size_t budget = 1 << 22; // shared storages could make whole sums long, too
    for (const auto& [name, view] : tensors) {
        if (model::byte_count(view.dtype, view.shape) != view.bytes) __builtin_trap();
        if (view.bytes > budget) continue;
        budget -= view.bytes;
        test::bytes_of(view);
    }
}

} // namespace mc::fuzz
