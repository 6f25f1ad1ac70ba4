// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// A tensor of a weight file: where its numbers lie. No Torch here.
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/model/data_file.h"

namespace mc::model {

enum class DType {
#define SCALAR_TYPE(name, bytes, aten, storage, numpy) name,
#include "engine/model/scalar_types.inc"
#undef SCALAR_TYPE
};

// A type and its names in files of each kind; null: they cannot have it.
struct DTypeNames {
    DType type;
    size_t bytes;
    const char *safetensors, *storage, *numpy; // "BF16", "BFloat16Storage", "<f4"
};
inline constexpr DTypeNames DTYPES[] = {
#define SCALAR_TYPE(name, bytes, aten, storage, numpy) {DType::name, bytes, #name, storage, numpy},
#include "engine/model/scalar_types.inc"
#undef SCALAR_TYPE
};
constexpr size_t size_of(DType type) { return DTYPES[size_t(type)].bytes; }
constexpr const char* name_of(DType type) { return DTYPES[size_t(type)].safetensors; }
// The type of that name in files of one kind, as in dtype_named(&DTypeNames::numpy, "<f4"); empty: there is none.
std::optional<DType> dtype_named(const char* DTypeNames::* kind, std::string_view name);

struct TensorView {
    DType dtype;
    std::vector<int64_t> shape;
    size_t bytes = 0; // of all elements, each counted once, without what may lie between them
    std::shared_ptr<const DataFile> file;
    uint64_t at = 0;             // of the first element, in bytes of the file
    std::vector<int64_t> stride; // in elements, one per side; empty: row-major, without gaps

    // All elements, row-major and without gaps. Throws MC_ERROR_READ as DataFile::read does.
    void read(void* into) const;
    // `count` bytes of those, from byte `from` on. With strides a part of them takes all into memory.
    void read(size_t from, void* into, size_t count) const;
};

using TensorMap = std::map<std::string, TensorView>;

// Elements of `shape`; empty for a negative side and for what does not fit in 63 bits.
std::optional<uint64_t> element_count(const std::vector<int64_t>& shape);
// Bytes of a tensor of this type and shape; empty where element_count is, or when they do not fit in 63 bits.
std::optional<uint64_t> byte_count(DType type, const std::vector<int64_t>& shape);
std::string shape_text(const std::vector<int64_t>& shape); // "[1, 6, 32]"

} // namespace mc::model
