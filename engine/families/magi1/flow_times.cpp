// SPDX-License-Identifier: LGPL-2.1-or-later
#include "engine/families/magi1/flow_times.h"

#include <string>

#include "engine/error.h"

namespace mc::magi1 {

// In float32, operation by operation as the reference: three quarters of the way must lie just above 0.3, which a
// comparison relies on (docs/algorithms.md#magi-times).
static float shifted(float tau) {
    constexpr float third = float(1.0 / 3), rest = float(1.0 / 3 - 1);
    const float square = tau * tau;
    const float above = third * square, below = rest * square + 1;
    return above / below;
}

FlowTimes flow_times(int steps, Shortcut shortcut) {
    if (steps < 1 || steps > 1000)
        throw Error(MC_ERROR_SETTINGS, "steps is " + std::to_string(steps) +
                                           " but must lie between 1 and 1000; 64, 32, 16, 12 or 8 is usual.");
    FlowTimes table;
    if (steps != 12) {
        for (int k = 0; k <= steps; k++) table.t.push_back(shifted(float(k) / float(steps)));
        table.step_size.assign(size_t(steps), float(steps) / 4 * 2);
        return table;
    }
    const bool large_first = shortcut == Shortcut::LARGE_FIRST;
    for (int k = 0; k <= steps; k++) {
        const int place = k % 3; // in sixteenths: 0, 2, 3 or 0, 1, 2
        const int sixteenths = k / 3 * 4 + place + (large_first && place > 0);
        table.t.push_back(shifted(float(sixteenths) / 16));
        if (k < steps) table.step_size.push_back(place == (large_first ? 0 : 2) ? 4 : 8);
    }
    return table;
}

} // namespace mc::magi1
