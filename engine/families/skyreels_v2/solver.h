// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// The solver's state of a window: what each latent frame, or with CacheReuse::SOLVER each token, has come to.
#include <ATen/core/Tensor.h>
#include <cstdint>
#include <span>
#include <vector>

#include "engine/cache/plan.h"
#include "engine/families/skyreels_v2/window_plan.h"

namespace mc::skyreels_v2 {

class Solver {
  public:
    // latents: [C, frames (+ 1), h, w] float32, changed in place. Plan outlives the solver.
    Solver(const WindowPlan& plan, at::Tensor latents);
    virtual ~Solver() = default;
    // One UniPC update of every frame that takes a step in this row. velocity: as latents. turns: of the row; plans: of
    // those that take a step, in order.
    virtual void step(const MatrixRow& row, const at::Tensor& velocity,
                      std::span<const sampler::ChunkTurn> turns, std::span<const cache::Plan> plans);
    // Whether it goes past what is reused: then the velocity of a reused token is not read, and the branches, which are
    // one velocity to it, share their plans.
    virtual bool skips_reused() const { return false; }
    const at::Tensor& latents() const { return latents_; }

  protected:
    const WindowPlan& plan_;
    at::Tensor latents_, x_last_, m0_, m_prev_; // [C, frames (+ 1), h, w]
};

// A step that a token reuses is none: the token goes from where it was last computed, and where it was computed before
// that, to each later step with coefficients of just these steps. A repeated velocity would instead look to a solver of
// order 2 like a picture that stands still and then jumps.
class TokenSolver final : public Solver {
  public:
    // A frame has rows x columns tokens, which divide h and w.
    TokenSolver(const WindowPlan& plan, at::Tensor latents, int64_t rows, int64_t columns);
    void step(const MatrixRow& row, const at::Tensor& velocity, std::span<const sampler::ChunkTurn> turns,
              std::span<const cache::Plan> plans) override;
    bool skips_reused() const override { return true; }

  private:
    // of each token
    enum { C_LAST, C_M0, C_PREV, C_X0, P_X, P_M0, P_PREV, COMPUTED, COEFFICIENTS };
    void find_coefficients(int frame, int state, const uint8_t* computed, // [rows * columns]
                           float* out);                                   // [COEFFICIENTS, rows, columns]
    void step_frame(int frame, int state, const at::Tensor& velocity,
                    const at::Tensor& coefficients); // [COEFFICIENTS, h, w]
    const int64_t rows_, columns_;
    // [frames (+ 1), rows, columns]: the last step at which the token was computed, and the one before; -1: none.
    std::vector<int16_t> last_, before_;
};

} // namespace mc::skyreels_v2
