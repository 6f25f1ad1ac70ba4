// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// The timesteps and sigmas that a sampler visits (docs/algorithms.md#time-grid). Plain numbers, no tensors.
#include <cstdint>
#include <vector>

namespace mc::skyreels_v2 {

// Values of a time grid before its shift. OFFICIAL: evenly from the largest of the training schedule (0.999 as a
// float32) to 0. DIFFUSERS_0_37: evenly from 1 to 0.001, what Diffusers has used since version 0.37; the same request
// gives another video with it.
enum class Grid { OFFICIAL, DIFFUSERS_0_37 };

struct TimeGrid {
    std::vector<int64_t> timesteps; // [steps], never rising; 0..999
    std::vector<float> sigmas;      // [steps + 1], strictly falling, below 1, the last 0
};
// steps: 1..1000; shift > 0, above 1 it moves steps towards the noise.
// Throws MC_ERROR_SETTINGS: a value out of its range, or a shift so far from 1 that neighbouring sigmas are
// one float32 number (the solver divides by their distance).
TimeGrid time_grid(int steps, double shift, Grid grid = Grid::OFFICIAL);

} // namespace mc::skyreels_v2
