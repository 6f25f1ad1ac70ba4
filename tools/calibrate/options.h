// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// The command line.
#include <optional>
#include <span>
#include <string>

#include "engine/networks/weights.h"

namespace mc::calibrate {

struct Options {
    std::string model;
    std::string output;                       // empty: motioncache.json in the model's folder
    std::string prompts;                      // empty: the built-in ones
    std::optional<int> steps, frames, width, height; // unset: the model's; steps 5..1000
    int threads = 0;                          // 0: one per processor
    std::optional<Precision> precision;       // unset: the device's own
    std::string device = "auto";
    int seed = 0; // of the first prompt; the others count on; >= 0
    bool quick = false, help = false;
};

// Throws MC_ERROR_SETTINGS for what it does not know.
Options parse_options(std::span<const char* const> arguments);
extern const char* const usage;

} // namespace mc::calibrate
