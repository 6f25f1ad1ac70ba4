// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// The timesteps and sigmas that a sampler visits (docs/algorithms.md#time-grid). Plain numbers, no tensors.
#include <cstdint>
#include <vector>

#include "engine/sampler/choices.h"

namespace mc::skyreels_v2 {

struct TimeGrid {
    std::vector<int64_t> timesteps; // [steps], never rising; 0..999
    std::vector<float> sigmas;      // [steps + 1], strictly falling, below 1, the last 0
};
// steps: 1..1000; shift > 0, above 1 it moves steps towards the noise.
// Throws MC_ERROR_SETTINGS: a value out of its range, or a shift so far from 1 that neighbouring sigmas are
// one float32 number (the solver divides by their distance).
TimeGrid time_grid(int steps, double shift, sampler::Grid grid = sampler::Grid::OFFICIAL);

} // namespace mc::skyreels_v2
