// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// From a tensor in a file to an at::Tensor of the type that a network computes in.
#include <ATen/core/Tensor.h>
#include <functional>
#include <string>
#include <vector>

#include "engine/cancel.h"
#include "engine/model/tensors.h"
#include "engine/request/fields.h"

namespace mc {

at::ScalarType type_of(model::DType type);
inline at::ScalarType type_of(Precision precision) {
    return precision == Precision::BFLOAT16 ? at::kBFloat16 : at::kFloat;
}
// float32 numbers on the grid of the precision.
inline at::Tensor rounded(const at::Tensor& t, Precision precision) {
    return precision == Precision::BFLOAT16 ? t.to(at::kBFloat16).to(at::kFloat) : t;
}

// Hands out the tensors of one network, each in memory of its own: once loaded, nothing is read from the files.
class Weights {
  public:
    // Bytes that are in memory at once of a tensor that is not used where and as it is stored. One with strides is
    // gathered whole.
    static constexpr int64_t PIECE = 16 << 20;
    // loaded(bytes) is called after each tensor. On the device "meta" tensors have shapes alone, and nothing is read.
    Weights(const model::Tensors& tensors, at::Device device, Cancel cancel = {},
            std::function<void(size_t bytes)> loaded = {})
        : tensors_(tensors), device_(device), cancel_(cancel), loaded_(std::move(loaded)) {}
    // Throws MC_ERROR_READ when the tensor is missing, of another shape or cannot be read.
    at::Tensor get(const std::string& name, const std::vector<int64_t>& shape, at::ScalarType type) const;
    bool has(const std::string& name) const { return tensors_.has(name); }
    at::Device device() const { return device_; }
    Cancel cancel() const { return cancel_; }

  private:
    const model::Tensors& tensors_;
    at::Device device_;
    Cancel cancel_;
    std::function<void(size_t)> loaded_;
};

} // namespace mc
