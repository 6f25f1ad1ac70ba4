// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// UniPC (bh2, order 2, flow prediction) as coefficients: every update is a linear combination of at most five
// tensors, so the solver needs no tensors itself (docs/algorithms.md#unipc). State of a chunk: x_last, m0, m_prev.
#include <vector>

#include "engine/families/skyreels_v2/time_grid.h"

namespace mc::skyreels_v2 {

// Step i, with x the sample that the model saw, v its velocity:
//   x0        = x - sigma * v
//   corrected = correct ? c_last * x_last + c_m0 * m0 + c_prev * m_prev + c_x0 * x0 : x
//   m_prev <- m0, m0 <- x0, x_last <- corrected
//   next      = p_x * corrected + p_m0 * m0 + p_prev * m_prev
// A coefficient of a tensor that does not exist yet is 0.
struct UniPcStep {
    int order; // of the predictor: 1, 2, 2, ..., 2, 1
    bool correct;
    double sigma;
    double c_last, c_m0, c_prev, c_x0;
    double p_x, p_m0, p_prev;
};
// One per step of the grid, in double: the originals compute in float32, which moves a result by about 1e-6 (a
// few 1e-5 in the first steps of the Diffusers grid, whose first 1 - sigma is 1e-6).
std::vector<UniPcStep> unipc_steps(const TimeGrid& grid);

// Likewise between any three steps of the grid, for what takes only some of them: `last` is the one where m0 and x_last
// come from, `before` the one of m_prev, or -1: order 1.
struct UniPcCorrector {
    double last, m0, prev, x0;
};
struct UniPcPredictor {
    double x, m0, prev;
};
UniPcCorrector unipc_corrector(const TimeGrid& grid, int before, int last, int now);
// next: up to the number of steps.
UniPcPredictor unipc_predictor(const TimeGrid& grid, int before, int now, int next);

} // namespace mc::skyreels_v2
