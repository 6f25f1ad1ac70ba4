// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// How far one result of a case is from another one of the same case: for precisions that no tolerance judges.
#include <string>
#include <vector>

#include "tests/golden/compare.h"

namespace mc::golden {

struct Distance {
    std::string name;
    double relative; // norm of the difference / norm of the exact one
    double largest;  // |difference|
};
// Of every tensor that the case expects, the farthest first. Throws mc::Error for NaN and infinity.
std::vector<Distance> measure_distance(const CaseFile& file, const Produced& value, const Produced& exact);

} // namespace mc::golden
