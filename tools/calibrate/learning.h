// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// What one uncached run per prompt tells about a model: how much the velocity changes from step to step, how
// tokens move, and the videos that cached ones are compared with.
#include <memory>
#include <string>
#include <vector>

#include "engine/families/skyreels_v2/model.h"
#include "tools/bench/video.h"
#include "tools/calibrate/curve.h"
#include "tools/calibrate/forecast.h"

namespace mc::calibrate {

struct Lesson {
    Recording recording;
    std::vector<double> change; // [steps]: sigma * mean |v - v before| / mean |v| of the guided velocity v,
                                // averaged over chunks and prompts; 0 at step 0
    std::vector<bench::Video> full;    // of each prompt
    int window_chunks = 1;             // of the first window
    std::vector<Point> points() const; // distance and change of each step but the first
    // The integral over sigma of (the velocity's relative change per unit of sigma)^change_power * sigma^noise_power
    // (docs/caches.md). change_power below 1: where the way between two steps is not straight, more change means more
    // error, but less than in proportion.
    cache::Path path(double change_power, double noise_power) const;
};

// request: with seed and prompt of the first prompt; prompt i has seed + i.
session::Request request_of(const session::Request& request, const std::vector<std::string>& prompts,
                            size_t i);

// Every token is computed in every step; the videos equal uncached ones.
Lesson learn(const std::shared_ptr<const skyreels_v2::Model>& model, const session::Request& request,
             const std::vector<std::string>& prompts);

} // namespace mc::calibrate
