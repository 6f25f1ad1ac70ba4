// SPDX-License-Identifier: LGPL-2.1-or-later
#include "engine/networks/wan_dit/traffic.h"

namespace mc::transformer {

StepBytes branch_bytes(const model::TransformerConfig& c, const Window::Shape& s, int64_t frames, bool motion) {
    const int64_t pixels = frames * s.height * s.width, number = sizeof(float);
    return {pixels * c.in_channels * number,
            pixels * c.out_channels * number + (motion ? pixels / (c.patch[1] * c.patch[2]) * number : 0)};
}

int64_t token_bytes(const model::TransformerConfig& c, int64_t rows, int ranks, int64_t element) {
    return c.layers * 4 * rows * c.width * element * (ranks - 1) / ranks;
}

} // namespace mc::transformer
