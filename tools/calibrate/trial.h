// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// Settings tried on prompts: how near their videos are to the uncached ones, and how much they compute.
#include <algorithm>
#include <limits>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "tools/calibrate/learning.h"

namespace mc::calibrate {

struct Trial {
    cache::MotionCacheSettings settings;
    double psnr = 0, ssim = 0; // in dB; at most 1. Of the frames in 8-bit RGB, mean over frames and prompts
    double share = 1;          // of the tokens that were computed
    double partial = 0;        // share of the turns after warm-up that computed some tokens and not all
    double speedup = 0;        // of the denoising; 0: not measured
    double error = 0;          // standard error of psnr: prompts differ
    double elsewhere = std::numeric_limits<double>::infinity(); // least that may be stated at other requests; see elsewhere.h
    // What may be said of prompts and requests that were not tried.
    double stated() const { return std::min(psnr - error, elsewhere); }
};

struct TrialSetup {
    std::shared_ptr<const skyreels_v2::Model> model;
    session::Request request; // all but the prompt, the seed (prompt i has seed + i) and the settings of the cache
    std::vector<std::string> prompts;
};

// On prompts [first, last) of the lesson's. No time is taken: runs that are far apart on the clock do not compare.
Trial run_trial(const TrialSetup& setup, const Lesson& lesson, const cache::MotionCacheSettings& settings,
                size_t first, size_t last);
// On all prompts, each uncached and then with every settings in turn: the speed-up is the median over prompts
// of time without / time with, so that what else the machine does meets both.
std::vector<Trial> run_levels(const TrialSetup& setup, std::span<const cache::MotionCacheSettings> levels);
// The same without a clock: [level][prompt].
std::vector<std::vector<double>> psnr_of_levels(const TrialSetup& setup,
                                                std::span<const cache::MotionCacheSettings> levels);

} // namespace mc::calibrate
