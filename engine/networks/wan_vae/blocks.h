// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// The blocks that encoder and decoder share, with the state that each keeps between frames.
#include "engine/networks/wan_vae/ops.h"

namespace mc::wan_vae {

// The last two frames that a causal convolution has seen: a cache slot of the reference
// (docs/algorithms.md#vae-stream).
class History {
  public:
    FrameTaps push(const Frame& now) {
        FrameTaps seen{older_, last_, now};
        older_ = last_;
        last_ = now;
        return seen;
    }
    const Frame& older() const { return older_; }
    const Frame& last() const { return last_; }

  private:
    Frame older_, last_;
};

using ResidualState = std::array<History, 2>;
using MiddleState = std::array<ResidualState, 2>;

// Each may overwrite the frame that it is given; no one else may hold it.
Frame residual(Ops& ops, const Residual& r, ResidualState& state, Frame x);
Frame middle(Ops& ops, const Middle& m, MiddleState& state, Frame x);

} // namespace mc::wan_vae
