// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// A tensor of a weight file: where its numbers lie. No Torch here.
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/model/data_file.h"

namespace mc::model {

enum class DType { F32, F16, BF16, F64, I64, I32, I16, I8, U8, BOOL };
size_t size_of(DType type);
const char* name_of(DType type); // as safetensors spells it: "BF16"

struct TensorView {
    DType dtype;
    std::vector<int64_t> shape;
    size_t bytes = 0; // of all elements, each counted once, without what may lie between them
    std::shared_ptr<const DataFile> file;
    uint64_t at = 0;             // of the first element, in bytes of the file
    std::vector<int64_t> stride; // in elements, one per side; empty: row-major, without gaps

    // All elements, row-major and without gaps. Throws MC_ERROR_READ as DataFile::read does.
    void read(void* into) const;
    // `count` bytes of those, from byte `from` on. With strides it takes all of them into memory.
    void read(size_t from, void* into, size_t count) const;
};

using TensorMap = std::map<std::string, TensorView>;

// Elements of `shape`; empty for a negative side and for what does not fit in 63 bits.
std::optional<uint64_t> element_count(const std::vector<int64_t>& shape);
// Bytes of a tensor of this type and shape; empty where element_count is, or when they do not fit in 63 bits.
std::optional<uint64_t> byte_count(DType type, const std::vector<int64_t>& shape);
std::string shape_text(const std::vector<int64_t>& shape); // "[1, 6, 32]"

} // namespace mc::model
