// SPDX-License-Identifier: LGPL-2.1-or-later
#include "engine/networks/weights.h"

#include <ATen/ATen.h>

namespace mc {

static at::ScalarType type_of(model::DType type) {
    switch (type) {
    case model::DType::F32:
        return at::kFloat;
    case model::DType::F16:
        return at::kHalf;
    case model::DType::BF16:
        return at::kBFloat16;
    case model::DType::F64:
        return at::kDouble;
    case model::DType::I64:
        return at::kLong;
    case model::DType::I32:
        return at::kInt;
    case model::DType::I16:
        return at::kShort;
    case model::DType::I8:
        return at::kChar;
    case model::DType::U8:
        return at::kByte;
    case model::DType::BOOL:
        return at::kBool;
    case model::DType::F8_E4M3:
        return at::kFloat8_e4m3fn;
    }
    throw Error(MC_ERROR_INTERNAL, "Unknown tensor type.");
}

at::Tensor Weights::get(const std::string& name, const std::vector<int64_t>& shape,
                        at::ScalarType type) const {
    cancel_.check();
    const model::TensorView& view = tensors_.get(name, shape);
    if (device_.is_meta()) return at::empty(view.shape, at::TensorOptions(device_).dtype(type));
    at::Tensor stored = at::empty(view.shape, at::TensorOptions().dtype(type_of(view.dtype)));
    view.read(stored.mutable_data_ptr());
    if (loaded_) loaded_(view.bytes);
    return stored.to(device_, type);
}

} // namespace mc
