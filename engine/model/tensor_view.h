#pragma once
// A named tensor of a weight file: a view into its memory map. No Torch here.
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace mc::model {

enum class DType { F32, F16, BF16, F64, I64, I32, I16, I8, U8, BOOL };
size_t size_of(DType type);
const char* name_of(DType type); // as safetensors spells it: "BF16"

struct TensorView {
    DType dtype;
    std::vector<int64_t> shape; // row-major, contiguous
    const std::byte* data;      // may be unaligned
    size_t bytes;
};

using TensorMap = std::map<std::string, TensorView>;

// Elements of `shape`; empty for a negative side and for what does not fit in 63 bits.
std::optional<uint64_t> element_count(const std::vector<int64_t>& shape);
// Bytes of a tensor of this type and shape; empty where element_count is, or when they do not fit in 63 bits.
std::optional<uint64_t> byte_count(DType type, const std::vector<int64_t>& shape);
std::string shape_text(const std::vector<int64_t>& shape); // "[1, 6, 32]"

} // namespace mc::model
