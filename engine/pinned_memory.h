// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
#include <ATen/core/Tensor.h>

namespace mc {

// Memory of the host that stays in place, where devices read it themselves. Throws MC_ERROR_MEMORY where the system
// gives none.
at::Tensor pinned_memory(at::IntArrayRef sizes, at::ScalarType type);

} // namespace mc
