// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// Which of the measured levels become quality, balanced and fast.
#include <array>
#include <span>
#include <string>
#include <vector>

#include "tools/calibrate/trial.h"

namespace mc::calibrate {

struct Goal {
    const char* name;
    double psnr, ssim; // as calibrated, the PSNR less its standard error: at least
    double share;      // of computed tokens: the level taken where none reaches the goal
};
// Both are asked for: chunks that follow an exact first one and are hardly computed themselves are blurred, which costs
// little PSNR but shows in SSIM.
constexpr std::array<Goal, 3> GOALS = {Goal{"quality", 39, 0.95, 0.35}, Goal{"balanced", 34, 0.92, 0.22},
                                       Goal{"fast", 29, 0.88, 0.12}};

struct Choice {
    std::array<Trial, 3> presets;   // in the order of GOALS
    std::vector<std::string> notes; // for the user: goals that were missed, times that make no sense
};
// trials: at least three. For each goal the fastest level that reaches it, each preset at a level of its own
// and faster than the one before it.
Choice choose_presets(std::span<const Trial> trials);

} // namespace mc::calibrate
