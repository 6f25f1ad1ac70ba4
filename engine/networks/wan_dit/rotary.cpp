// SPDX-License-Identifier: LGPL-2.1-or-later
#include "engine/networks/wan_dit/rotary.h"

#include <ATen/ATen.h>

namespace mc::wan_dit {

// [length, channels / 2]: position * 10000^(-2j / channels)
static at::Tensor axis_angles(int64_t length, int64_t channels) {
    at::Tensor power = at::arange(0, channels, 2, at::kDouble) / static_cast<double>(channels);
    return at::outer(at::arange(length, at::kDouble),
                     at::pow(at::scalar_tensor(10000.0, at::kDouble), -power));
}

Rotary rotary_tables(int64_t frames, int64_t rows, int64_t columns, int64_t head) {
    int64_t spatial = 2 * (head / 6), temporal = head - 2 * spatial; // channels of an axis
    auto spread = [&](const at::Tensor& angles, int64_t axis) {
        std::vector<int64_t> shape{1, 1, 1, angles.size(1)};
        shape[axis] = angles.size(0);
        return angles.view(shape).expand({frames, rows, columns, angles.size(1)});
    };
    at::Tensor angle =
        at::cat({spread(axis_angles(frames, temporal), 0), spread(axis_angles(rows, spatial), 1),
                 spread(axis_angles(columns, spatial), 2)},
                3)
            .reshape({frames * rows * columns, head / 2});
    return {angle.to(at::kFloat), angle.cos().to(at::kFloat), angle.sin().to(at::kFloat)};
}

} // namespace mc::wan_dit
