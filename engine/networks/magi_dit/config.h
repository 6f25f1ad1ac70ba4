// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// The sizes of MAGI-1's transformer, as plain numbers.
#include <cstdint>

namespace mc::model {

struct MagiDitConfig {
    int64_t layers = 0;
    int64_t width = 0;             // D
    int64_t ffn = 0;               // F; a gated network's first product has 2 F outs
    int64_t heads = 0, groups = 0; // of queries; of keys and values, which divide the heads
    int64_t in_channels = 0;       // of the patch embedding: twice the latents' where they are doubled
    int64_t out_channels = 0;      // of the head; where the latents are doubled, the first half counts
    int64_t condition = 0;         // width of the condition: time and caption mode
    int64_t text_width = 0;        // of the text encoder's rows
    int64_t text_rows = 800;       // most rows of text
    double eps = 1e-6;             // of norms
    double rescale = 1;            // latents are multiplied by it, velocities divided
    bool doubled = false;          // latents go in twice, one behind the other
    bool gated = false;            // SiLU with a gate, else GELU
    bool fp8 = false;              // products of all layers but the first and the last are of eight bits
    bool distilled = false;        // conditioned on the size of a step too
    int64_t head() const { return width / heads; }
    int64_t bands() const { return head() / 8; } // learned frequencies of an axis
    int64_t latent_channels() const { return doubled ? in_channels / 2 : in_channels; }
};

} // namespace mc::model
