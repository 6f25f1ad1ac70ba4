// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// The sizes of the ViT VAE, as plain numbers.
#include <array>
#include <cstdint>

namespace mc::model {

struct VitVaeConfig {
    int64_t width = 0; // D
    int64_t layers = 0, heads = 0, ffn = 0;
    int64_t latent_channels = 0;
    std::array<int64_t, 3> patch{}; // frames, rows, columns of pixels that a token stands for
    std::array<int64_t, 3> grid{};  // tokens along time, rows, columns that the position table has
    double eps = 1e-5;              // of norms, and added to the deviation of queries, keys and values
    int64_t head() const { return width / heads; }
    int64_t patch_pixels() const { return patch[0] * patch[1] * patch[2]; }
    int64_t pixel_channels() const { return width / patch_pixels(); } // before the last convolution
};

} // namespace mc::model
