// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// What the transformer computes of a chunk in one row, for one guidance branch. A policy makes plans and sees
// no model; the transformer executes them and does not know who made them.
#include <cstdint>
#include <vector>

namespace mc::cache {

enum class Action {
    WHOLE,   // every token goes through the layers
    PARTIAL, // the listed ones do, the others reuse their residual
    REUSED,  // none does: output = input + residual
};

struct Plan {
    Action action = Action::WHOLE;
    // PARTIAL: ascending, at least one and not all; numbered by frame, row, column of the chunk. Else empty.
    std::vector<int32_t> tokens;
};

} // namespace mc::cache
