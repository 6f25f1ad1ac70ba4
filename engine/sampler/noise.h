// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// Normal noise from a counter: every number is a function of its key and its place alone, so it does not
// depend on the device, on the number of threads or on how a video is cut into chunks. No Torch. Generator:
// Philox4x32 with 10 rounds (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011).
#include <array>
#include <cstddef>
#include <cstdint>

namespace mc::sampler {

enum class Purpose : uint32_t {
    INITIAL = 0, // what denoising starts from
    PREFIX = 1,  // what is mixed into the given latents, new in every row
};

// Which noise: that of one latent frame.
struct NoiseKey {
    int64_t seed;
    Purpose purpose;
    uint32_t window; // index in the video
    uint32_t frame;  // latent frame in the window
    uint32_t row;    // of the timestep matrix, below 2^28; 0 where noise is drawn once per window
};

// out[0..n): independent, mean 0, variance 1. For a latent frame [C, h, w] n is C * h * w, below 2^34.
void normal_noise(const NoiseKey& key, float* out, size_t n);

// Of a request that names none: 0 or more.
int64_t random_seed();

std::array<uint32_t, 4> philox4x32(std::array<uint32_t, 4> counter, std::array<uint32_t, 2> key);

} // namespace mc::sampler
