// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// Keys and values of one prompt in every layer. They depend on the prompt alone, so they are computed once.
#include <ATen/core/Tensor.h>
#include <vector>

#include "engine/networks/wan_dit/orders.h"

namespace mc::wan_dit {

struct TextContext {
    struct LayerKeys {
        at::Tensor k, v;   // [rows, D], type of the store; k after its norm
        at::Tensor packed; // k and v packed for kernels::KeyValues; on the CPU
    };
    std::vector<LayerKeys> layers;
    // [rows] float32: 0, for the row that stands for all padding the logarithm of their number; undefined on devices,
    // where no row stands for others
    at::Tensor key_bias;
    int64_t flop = 0; // spent on making it
    std::shared_ptr<const Workers::Text> shared; // where other ranks need it too
};

} // namespace mc::wan_dit
