// SPDX-License-Identifier: LGPL-2.1-or-later
#include "engine/families/skyreels_v2/time_grid.h"

#include <cmath>
#include <string>

#include "engine/error.h"

namespace mc::skyreels_v2 {

TimeGrid time_grid(int steps, double shift, Grid grid) {
    if (steps < 1 || steps > 1000)
        throw Error(MC_ERROR_SETTINGS,
                    "steps is " + std::to_string(steps) + " but must lie between 1 and 1000; 30 is usual.");
    if (!(shift > 0) || !std::isfinite(shift))
        throw Error(MC_ERROR_SETTINGS, "shift must be a number above 0; 8 is usual for text, 5 for images.");

    const double first = grid == Grid::OFFICIAL ? double(0.999f) : 1.0;
    const double last = grid == Grid::OFFICIAL ? 0.0 : 0.001;
    const double pace = (last - first) / steps;

    TimeGrid result;
    for (int k = 0; k < steps; k++) {
        double u = first + k * pace;
        double sigma = shift * u / (1 + (shift - 1) * u);
        // sigma 1 has no finite log(1 - sigma)
        if (grid == Grid::DIFFUSERS_0_37 && k == 0 && std::fabs(sigma - 1) < 1e-6) sigma -= 1e-6;
        result.timesteps.push_back(int64_t(1000 * sigma)); // before the rounding to float32
        result.sigmas.push_back(float(sigma));
    }
    result.sigmas.push_back(0);

    bool falling = result.sigmas[0] < 1;
    for (int k = 0; k < steps; k++) falling &= result.sigmas[k + 1] < result.sigmas[k];
    if (!falling)
        throw Error(MC_ERROR_SETTINGS, "shift " + std::to_string(shift) +
                                           " leaves no distance between two of " + std::to_string(steps) +
                                           " steps; take a shift nearer to 1.");
    return result;
}

} // namespace mc::skyreels_v2
