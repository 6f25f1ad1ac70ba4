// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// How presets do at requests other than the one they are searched at. What motioncache.json states is the least of
// these and of the calibrated one: a figure that holds wherever it was looked at.
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "engine/families/skyreels_v2/settings.h"
#include "tools/calibrate/trial.h"

namespace mc::calibrate {

struct Elsewhere {
    std::string name;
    std::function<void(session::Request&)> change; // of the calibration's request
};
// Twice the steps, a third of them, guidance on or off, the shortest chunks, another shift, two windows.
std::vector<Elsewhere> elsewhere(const skyreels_v2::Settings& calibrated);

// Fills in Trial::elsewhere from the stage's first few prompts. quick: one prompt, and only twice the steps.
void look_elsewhere(const Stage& stage, std::span<Trial> trials, const skyreels_v2::Settings& calibrated, bool quick);

} // namespace mc::calibrate
