#pragma once
// What one uncached run a prompt tells of a model: how much the velocity changes from step to step, how
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
    std::vector<Point> points() const; // distance and change of each step but the first
};

// request: with seed and prompt of the first prompt; prompt i has seed + i.
session::Request request_of(const session::Request& request, const std::vector<std::string>& prompts,
                            size_t i);

// Every token is computed in every step; the videos equal uncached ones.
Lesson learn(const std::shared_ptr<const skyreels_v2::Model>& model, const session::Request& request,
             const std::vector<std::string>& prompts);

} // namespace mc::calibrate
