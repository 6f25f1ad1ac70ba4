// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// Which latent frame stands at which timestep in each row of a diffusion-forcing window
// (docs/algorithms.md#timestep-matrix).
#include <cstdint>
#include <vector>

namespace mc::skyreels_v2 {

struct MatrixRow {
    std::vector<int64_t> timestep; // [frames]; 999 not started, 0 finished
    std::vector<int> state;   // [frames]; 0 not started, k: step k of 1..steps is taken, steps + 1 finished
    std::vector<bool> update; // [frames]; the frame takes scheduler step state - 1 (from 0) in this row
    int begin = 0, end = 0;   // frames that the model sees
};

struct MatrixSettings {
    int frames;        // latent frames of the window
    int base_frames;   // latent frames that the model may see at once
    int ar_step;       // rows by which a chunk runs behind the one before; 0: all together
    int prefix_frames; // finished from the start; counts in whole chunks
    int chunk;         // causal_block_size
};
// The tail frames % chunk has no column, as in the reference. Nothing to denoise: no rows.
// Throws MC_ERROR_SETTINGS: frames, base_frames or chunk below 1, base_frames shorter than a chunk, ar_step
// or prefix_frames negative, ar_step too small for a window longer than base_frames.
std::vector<MatrixRow> timestep_matrix(const MatrixSettings& settings, const std::vector<int64_t>& timesteps);

} // namespace mc::skyreels_v2
