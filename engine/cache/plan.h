#pragma once
// What the transformer computes of a chunk in one row, for one guidance branch. A policy makes plans and sees
// no model; the transformer executes them and does not know who made them.
#include <cstdint>
#include <vector>

namespace mc::cache {

enum class Action {
    ALL,    // every token goes through the layers
    TOKENS, // the listed ones do, the others reuse their residual
    REUSE,  // none does: output = input + residual
};

struct Plan {
    Action action = Action::ALL;
    // TOKENS: ascending, at least one and not all; numbered by frame, row, column of the chunk. Else empty.
    std::vector<int32_t> tokens;
};

// How a reused token's residual is taken for the step at hand.
enum class Reuse {
    REPEAT, // as it was last computed
    TAYLOR, // extrapolated to first order from its last two computed values, over the noise level (sigma)
    // It is not: a reused step is none to the solver, which goes in one step of its own order from where the token was
    // last computed to where it is next (docs/algorithms.md#solver-reuse). Both branches compute the same tokens.
    SOLVER,
};

} // namespace mc::cache
