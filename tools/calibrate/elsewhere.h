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
// All in a smaller picture, which tells of the size too: fewer and more steps, no guidance, shorter and longer chunks, all of
// them at once, another shift, two windows.
std::vector<Elsewhere> elsewhere(const skyreels_v2::Settings& calibrated);

// What may be stated of another request. calibrated: PSNR of each prompt as calibrated; there: of the first few of them at the
// other request. Prompts differ more than what another request does to them, so a few tell how much is lost, and
// all together from where: the mean as calibrated less the mean loss, less the standard error of both.
double stated_from(std::span<const double> calibrated, std::span<const double> there);

// Fills in Trial::elsewhere. quick: one prompt, and only the smaller picture.
void look_elsewhere(const Stage& stage, std::span<Trial> trials, const skyreels_v2::Settings& calibrated, bool quick);

} // namespace mc::calibrate
