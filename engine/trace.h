// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// Intermediate tensors by name, for the golden cases and for finding where a difference begins. Empty in production:
// nothing is then built for it.
#include <ATen/core/Tensor.h>
#include <functional>
#include <string>

namespace mc {

using Trace = std::function<void(const std::string& name, const at::Tensor& value)>;

} // namespace mc
