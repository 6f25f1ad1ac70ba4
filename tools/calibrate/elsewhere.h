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
    size_t prompts = 0;                            // the first so many; 0: all
};
// All in a smaller picture, which tells of the size too: fewer and more steps, no guidance, shorter and longer chunks,
// all of them at once, another shift, two windows.
std::vector<Elsewhere> elsewhere(const skyreels_v2::VideoSettings& calibrated);

// The PSNR that may be stated for another request (docs/algorithms.md#stated). base: PSNR of each prompt in the smaller
// picture; there: of all, or of the first few, at the other request. With all: the mean less its standard error. With a
// few: the mean of base plus the mean of what the few gain, less the standard error of both.
double stated_from(std::span<const double> base, std::span<const double> there);

// Fills in Trial::elsewhere. quick: one prompt, and only the smaller picture.
void look_elsewhere(const TrialSetup& setup, std::span<Trial> trials,
                    const skyreels_v2::VideoSettings& calibrated, bool quick);

} // namespace mc::calibrate
