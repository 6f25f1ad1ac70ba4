// SPDX-License-Identifier: LGPL-2.1-or-later
#include "engine/networks/weights.h"

#include <ATen/ATen.h>

namespace mc {

at::ScalarType type_of(model::DType type) {
    switch (type) {
#define SCALAR_TYPE(name, bytes, aten, storage, numpy) \
    case model::DType::name: return at::ScalarType::aten;
#include "engine/model/scalar_types.inc"
#undef SCALAR_TYPE
    }
    throw Error(MC_ERROR_INTERNAL, "A tensor is of an unknown type; please report this.");
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
