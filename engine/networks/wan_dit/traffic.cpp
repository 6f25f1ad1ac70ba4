// SPDX-License-Identifier: LGPL-2.1-or-later
#include "engine/networks/wan_dit/traffic.h"

namespace mc::wan_dit {

StepBytes branch_bytes(const model::TransformerConfig& c, const Window::Shape& s, int64_t frames, bool motion) {
    const int64_t pixels = frames * s.height * s.width, number = sizeof(float);
    return {pixels * c.in_channels * number,
            pixels * c.out_channels * number + (motion ? pixels / (c.patch[1] * c.patch[2]) * number : 0)};
}

TeamBytes token_bytes(const model::TransformerConfig& c, int64_t rows, int ranks, int64_t element) {
    const int64_t others = ranks - 1, part = c.width / ranks, here = rows / ranks; // of the leader
    const int64_t signs = others * c.layers * static_cast<int64_t>(sizeof(int64_t)); // whether all go on
    return {c.layers * (3 * here * others + (rows - here)) * part * element + signs,
            c.layers * 4 * rows * others * part * element + (rows - here) * c.width * element + signs};
}

} // namespace mc::wan_dit
