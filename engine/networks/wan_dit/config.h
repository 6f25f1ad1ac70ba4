// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// The sizes of Wan's transformer, as plain numbers. Sizes come from config.json and are checked against, or where a
// layout does not state them inferred from, the shapes of the tensors.
#include <array>
#include <cstdint>

namespace mc::model {

struct TransformerConfig {
    int64_t width = 0; // D
    int64_t heads = 0; // N; width / heads = head
    int64_t layers = 0;
    int64_t ffn = 0;         // F
    int64_t in_channels = 0; // C
    int64_t out_channels = 0;
    int64_t text_width = 0;                // of the text encoder's rows
    int64_t text_rows = 512;               // rows of text the model was trained with; missing ones are zero
    int64_t frequencies = 256;             // width of the timestep's sinusoid
    std::array<int64_t, 3> patch{1, 2, 2}; // latent frames, rows, columns of a token
    double eps = 1e-6;
    bool fps_embedding = false;
    int64_t rope_length = 1024; // positions an axis has
    int64_t head() const { return width / heads; }
};

} // namespace mc::model
