// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// A whole MAGI-1 model of random weights, small enough for a test, laid out as published: a JSON file that names its
// parts. Without Torch.
#include <string>
#include <vector>

#include "tests/model/weight_writer.h"

namespace mc::test {

struct SmallMagi1 {
    bool distilled = true; // one branch; else three
    bool large = false;    // gated, channels doubled, as 24B
    bool fp8 = false;
    std::vector<int> noise2clean{5, 4, 3, 2};
    int width = 96, height = 64, steps = 8;
    int layers = 0; // of the transformer; 0: the fewest that have all kinds
};
// Writes it into `folder`, which need not exist. Returns the path of the JSON file.
std::string write_small_magi1(const std::string& folder, const SmallMagi1& kind = {});

} // namespace mc::test
