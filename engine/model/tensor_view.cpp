#include "engine/model/tensor_view.h"

#include <limits>

namespace mc::model {

size_t size_of(DType type) {
    switch (type) {
    case DType::F64:
    case DType::I64:
        return 8;
    case DType::F32:
    case DType::I32:
        return 4;
    case DType::F16:
    case DType::BF16:
    case DType::I16:
        return 2;
    case DType::I8:
    case DType::U8:
    case DType::BOOL:
        return 1;
    }
    return 0;
}

const char* name_of(DType type) {
    switch (type) {
    case DType::F32:
        return "F32";
    case DType::F16:
        return "F16";
    case DType::BF16:
        return "BF16";
    case DType::F64:
        return "F64";
    case DType::I64:
        return "I64";
    case DType::I32:
        return "I32";
    case DType::I16:
        return "I16";
    case DType::I8:
        return "I8";
    case DType::U8:
        return "U8";
    case DType::BOOL:
        return "BOOL";
    }
    return "";
}

std::optional<uint64_t> element_count(const std::vector<int64_t>& shape) {
    constexpr uint64_t limit = std::numeric_limits<int64_t>::max();
    // A zero side makes the product zero, but must not hide another side that is absurd.
    uint64_t count = 1;
    bool empty = false;
    for (int64_t side : shape) {
        if (side < 0) return std::nullopt;
        if (side == 0) {
            empty = true;
            continue;
        }
        if (count > limit / uint64_t(side)) return std::nullopt;
        count *= uint64_t(side);
    }
    return empty ? 0 : count;
}

std::optional<uint64_t> byte_count(DType type, const std::vector<int64_t>& shape) {
    std::optional<uint64_t> count = element_count(shape);
    if (!count || *count > uint64_t(std::numeric_limits<int64_t>::max()) / size_of(type)) return std::nullopt;
    return *count * size_of(type);
}

std::string shape_text(const std::vector<int64_t>& shape) {
    std::string text = "[";
    for (size_t i = 0; i < shape.size(); i++) text += (i ? ", " : "") + std::to_string(shape[i]);
    return text + "]";
}

} // namespace mc::model
