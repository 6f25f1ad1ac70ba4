// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// The flow times that a chunk visits, from 0 (noise) to 1 (clean) (docs/algorithms.md#magi-times). Plain numbers.
#include <vector>

namespace mc::magi1 {

struct FlowTimes {
    std::vector<float> t; // [steps + 1], rising
    // [steps]: what a distilled network is told of the size of a step; 2 ... 32.
    std::vector<float> step_size;
    int steps() const { return int(step_size.size()); }
};

// With 12 steps, three to each quarter of the way: whether the large one of them, an eighth, comes first or last.
enum class Shortcut { LARGE_FIRST, LARGE_LAST }; // "8,16,16"; "16,16,8"

// steps: 1..1000. 12 is a schedule of its own: quarters of the way, each in steps of an eighth, a sixteenth and a
// sixteenth.
FlowTimes flow_times(int steps, Shortcut shortcut = Shortcut::LARGE_FIRST);

} // namespace mc::magi1
