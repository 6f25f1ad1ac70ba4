// SPDX-License-Identifier: LGPL-2.1-or-later
#include "engine/networks/magi_dit/rotary.h"

#include <ATen/ATen.h>
#include <cmath>

namespace mc::magi_dit {

// The positions of `count` rows or columns: as if the picture had 256 tokens of the same shape, about its middle.
static at::Tensor places(int64_t count, double stretch) {
    const at::Tensor x = at::arange(count, at::kFloat) - static_cast<double>(count - 1) / 2;
    if (count == 1) return x;
    const double last = static_cast<double>(count - 1);
    return x.div(last).mul(static_cast<double>(count) / stretch - 1);
}

Rotary rotary_tables(const at::Tensor& bands, int64_t first, int64_t frames, int64_t rows, int64_t columns) {
    const double stretch = std::sqrt(static_cast<double>(rows * columns) / 256);
    const int64_t n = bands.size(0), shown = frames - first;
    const auto spread = [&](const at::Tensor& positions, int64_t axis) {
        std::vector<int64_t> shape{1, 1, 1, n};
        shape[static_cast<size_t>(axis)] = positions.size(0);
        return at::outer(positions, bands.cpu()).view(shape).expand({shown, rows, columns, n});
    };
    const at::Tensor times = at::arange(first, frames, at::kFloat);
    const at::Tensor angle =
        at::cat({spread(times, 0), spread(places(rows, stretch), 1), spread(places(columns, stretch), 2)}, 3)
            .reshape({shown * rows * columns, 3 * n});
    return {angle.cos().to(bands.device()), angle.sin().to(bands.device())};
}

} // namespace mc::magi_dit
