// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// Where the time of a video goes.
#include <chrono>

namespace mc::sampler {

using clock = std::chrono::steady_clock;
inline double since(clock::time_point start) { // seconds
    return std::chrono::duration<double>(clock::now() - start).count();
}

// Seconds of all rows so far. cache: policies, distances and motion; schedule: the solver's steps.
struct Timing {
    double transformer = 0, cache = 0, schedule = 0;
};

} // namespace mc::sampler
