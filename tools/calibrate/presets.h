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
    double psnr, ssim; // at least
    double share;      // of computed tokens: the level taken where none reaches the goal
};
constexpr std::array<Goal, 3> goals = {Goal{"quality", 38, 0.985, 0.35}, Goal{"balanced", 34.5, 0.98, 0.22},
                                       Goal{"fast", 31.5, 0.972, 0.12}};
// A preset spares tokens, not only whole steps: at least this share of the turns after warm-up computes some
// tokens and not all. A fifth is promised; a little more keeps the promise with other prompts.
constexpr double least_partial = 0.22;

struct Choice {
    std::array<Trial, 3> presets;   // in the order of goals
    std::vector<std::string> notes; // for the user: goals that were missed, times that make no sense
};
// trials: at least three. For each goal the fastest level that reaches it, each preset at a level of its own
// and faster than the one before it.
Choice choose_presets(std::span<const Trial> trials);

} // namespace mc::calibrate
