// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// How far along its way from noise to picture a chunk is. Lengths add up over any division into steps: so a threshold
// means the same with few steps and many, and with any shift. Distances of time embeddings do not add up: two steps
// at once are less than both.
#include <vector>

namespace mc::cache {

struct Path {
    // Falling from 1 to 0, and the length of the way from 1 to there: rising from 0 to 1. Straight lines between. Both
    // empty: there is no path.
    std::vector<double> sigma, length;
    bool empty() const { return sigma.empty(); }
    double at(double sigma) const; // of a path that is not empty; sigma 0..1
    bool operator==(const Path&) const = default;
};

// Whether it is empty, or as said above.
bool is_path(const Path& path);

} // namespace mc::cache
