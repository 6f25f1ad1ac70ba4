// SPDX-License-Identifier: LGPL-2.1-or-later
#include "engine/networks/weights.h"

#include <ATen/ATen.h>
#include <algorithm>

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
    at::Tensor made = at::empty(view.shape, at::TensorOptions(device_).dtype(type));
    if (device_.is_meta()) return made;
    const at::ScalarType stored = type_of(view.dtype);
    if (device_.is_cpu() && stored == type) {
        view.read(made.mutable_data_ptr());
    } else {
        const at::Tensor numbers = made.view({-1});
        const auto size = static_cast<int64_t>(model::size_of(view.dtype));
        // One with strides would be gathered anew for every piece.
        const int64_t all = numbers.numel(), most = view.stride.empty() ? std::min(all, PIECE / size) : all;
        at::Tensor piece = at::empty({most}, at::TensorOptions().dtype(stored));
        for (int64_t i = 0; i < all; i += most) {
            cancel_.check();
            const int64_t n = std::min(most, all - i);
            view.read(static_cast<size_t>(i * size), piece.mutable_data_ptr(), static_cast<size_t>(n * size));
            // Converts on the CPU, also for a device, and returns when the piece may be written to again.
            numbers.narrow(0, i, n).copy_(piece.narrow(0, 0, n));
        }
    }
    if (loaded_) loaded_(view.bytes);
    return made;
}

} // namespace mc
