// SPDX-License-Identifier: LGPL-2.1-or-later
#include "engine/networks/magi_dit/times.h"

#include <ATen/ATen.h>
#include <cmath>

namespace mc::magi_dit {

at::Tensor frequencies() {
    constexpr int64_t half = 128;
    return at::exp(at::arange(half, at::kFloat).mul(-std::log(10000.0)).div(static_cast<double>(half)));
}

at::Tensor sinusoids(const at::Tensor& values) {
    const at::Tensor angle = at::outer(values, frequencies().to(values.device())).mul(1000.0);
    return at::cat({angle.cos(), angle.sin()}, 1);
}

} // namespace mc::magi_dit
