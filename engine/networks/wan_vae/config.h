// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// The sizes of Wan's VAE, as plain numbers. Sizes come from config.json and are checked against, or where a
// layout does not state them inferred from, the shapes of the tensors.
#include <cstdint>
#include <vector>

namespace mc::model {

struct VaeConfig {
    int64_t base = 0;                             // channels of the first stage
    int64_t latent_channels = 0;                  // z
    std::vector<int64_t> multipliers;             // per stage
    int64_t residual_blocks = 0;                  // per stage of the encoder; the decoder has one more
    std::vector<bool> temporal_downsample;        // between stages, encoder's order
    std::vector<float> latents_mean, latents_std; // [latent_channels]
    int64_t spatial_factor = 8, temporal_factor = 4;
};

} // namespace mc::model
