// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// The sizes of a text encoder of the T5 series, as plain numbers.
#include <cstdint>

namespace mc::model {

struct TextEncoderConfig {
    int64_t vocabulary = 0, width = 0, heads = 0, head = 0, ffn = 0, layers = 0;
    int64_t buckets = 32, max_distance = 128;
    double eps = 1e-6;
    bool shared_positions = false; // T5: the first layer's table of positions serves all; UMT5: each has its own
};

} // namespace mc::model
