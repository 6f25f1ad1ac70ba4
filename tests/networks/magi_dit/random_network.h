// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// A small network of MAGI-1's kind with random weights, written to files as it is published.
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "engine/networks/magi_dit/magi_dit_files.h"
#include "tests/model/weight_writer.h"

namespace mc::test {

inline model::MagiDitConfig small_magi_dit(bool large, bool fp8 = false) {
    model::MagiDitConfig c;
    c.layers = 3;
    c.width = 96;
    c.ffn = 160;
    c.heads = 6;
    c.groups = large ? 2 : 3;
    c.in_channels = c.out_channels = large ? 8 : 4;
    c.condition = 24;
    c.text_width = 40;
    c.text_rows = 20;
    c.rescale = large ? 0.1 : 1;
    c.doubled = c.gated = large;
    c.fp8 = fp8;
    c.distilled = true;
    return c;
}

inline std::vector<StoredTensor> random_tensors(const model::MagiDitConfig& c) {
    std::mt19937_64 engine(5);
    std::normal_distribution<float> gauss;
    std::vector<StoredTensor> list;
    for (const model::ExpectedTensor& t : model::magi_dit_tensors(c)) {
        int64_t count = 1;
        for (int64_t side : t.shape) count *= side;
        StoredTensor stored{t.name, t.eight_bits ? "F8_E4M3" : "F32", t.shape, {}};
        const bool scale = t.name.ends_with("_scale"), matrix = t.shape.size() > 1;
        const float size = scale ? 0 : matrix ? 1.f / std::sqrt(float(count / t.shape[0])) : 0.2f;
        for (int64_t i = 0; i < count; i++) {
            if (t.eight_bits) { // of either sign, at most 1.875 / 4
                stored.data += char((engine() & 0x80) | (engine() % 0x30));
                continue;
            }
            const float x = scale ? 0.05f : size * gauss(engine);
            stored.data.append(reinterpret_cast<const char*>(&x), sizeof x);
        }
        list.push_back(std::move(stored));
    }
    return list;
}

} // namespace mc::test
