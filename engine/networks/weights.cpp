// SPDX-License-Identifier: LGPL-2.1-or-later
#include "engine/networks/weights.h"

#include <ATen/ATen.h>
#include <algorithm>

namespace mc {

namespace {
constexpr int64_t PIECE = 16 << 20; // bytes in memory at once of a tensor that is not used as it is stored
}

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
    at::Tensor made = at::empty(view.shape, at::TensorOptions(device_).dtype(type));
    const at::ScalarType stored = type_of(view.dtype);
    if (device_.is_cpu() && stored == type) {
        view.read(made.mutable_data_ptr());
    } else {
        const at::Tensor numbers = made.view({-1});
        const auto bytes = static_cast<int64_t>(c10::elementSize(stored));
        // One with strides would be gathered anew for every piece.
        const int64_t all = numbers.numel(), most = view.stride.empty() ? std::min(all, PIECE / bytes) : all;
        const at::Tensor piece = at::empty({most}, at::TensorOptions().dtype(stored));
        for (int64_t i = 0; i < all; i += most) {
            cancel_.check();
            const int64_t n = std::min(most, all - i);
            view.read(i * bytes, piece.mutable_data_ptr(), n * bytes);
            numbers.narrow(0, i, n).copy_(piece.narrow(0, 0, n).to(type));
        }
    }
    if (loaded_) loaded_(view.bytes);
    return made;
}

} // namespace mc
