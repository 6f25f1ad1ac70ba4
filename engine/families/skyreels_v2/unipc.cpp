// SPDX-License-Identifier: LGPL-2.1-or-later
#include "engine/families/skyreels_v2/unipc.h"

#include <algorithm>
#include <cmath>

namespace mc::skyreels_v2 {
namespace {

double lambda(double sigma) {
    return std::log1p(-sigma) - std::log(sigma);
}

double lambda_at(const TimeGrid& grid, int step) {
    return lambda(double(grid.sigmas[size_t(step)]));
}

} // namespace

UniPcCorrector unipc_corrector(const TimeGrid& grid, int before, int last, int now) {
    const double sigma = double(grid.sigmas[size_t(now)]), sigma_last = double(grid.sigmas[size_t(last)]);
    const double h = lambda(sigma) - lambda(sigma_last);
    const double B = std::expm1(-h);
    const double scale = -(1 - sigma) * B;
    double on_new = 0.5; // rho of x0 - m0
    double on_old = 0;   // rho of (m_prev - m0) / r, already divided by r
    if (before >= 0) {
        const double r = (lambda_at(grid, before) - lambda(sigma_last)) / h;
        const double k1 = B / -h - 1, k2 = k1 / -h - 0.5;
        const double b1 = k1 / B, b2 = 2 * k2 / B;
        const double rho1 = (b1 - b2) / (1 - r);
        on_new = b1 - rho1;
        on_old = rho1 / r;
    }
    return {sigma / sigma_last, scale * (1 - on_new - on_old), scale * on_old, scale * on_new};
}

UniPcPredictor unipc_predictor(const TimeGrid& grid, int before, int now, int next) {
    if (next == int(grid.timesteps.size())) return {0, 1, 0}; // sigma 0: h is infinite, B is -1
    const double sigma = double(grid.sigmas[size_t(now)]), sigma_next = double(grid.sigmas[size_t(next)]);
    const double h = lambda(sigma_next) - lambda(sigma);
    const double scale = -(1 - sigma_next) * std::expm1(-h);
    const double on_old = before >= 0 ? 0.5 * h / (lambda_at(grid, before) - lambda(sigma)) : 0.0; // 0.5 / r
    return {sigma_next / sigma, scale * (1 - on_old), scale * on_old};
}

std::vector<UniPcStep> unipc_steps(const TimeGrid& grid) {
    const int steps = int(grid.timesteps.size());
    std::vector<UniPcStep> result;
    for (int i = 0; i < steps; i++) {
        UniPcStep step{};
        step.sigma = double(grid.sigmas[size_t(i)]);
        if (i > 0) { // with the order of the predictor that came here
            step.correct = true;
            const UniPcCorrector c = unipc_corrector(grid, i - 2, i - 1, i);
            step.c_last = c.last, step.c_m0 = c.m0, step.c_prev = c.prev, step.c_x0 = c.x0;
        }
        step.order = std::min({2, steps - i, i + 1});
        const UniPcPredictor p = unipc_predictor(grid, i - 1, i, i + 1);
        step.p_x = p.x, step.p_m0 = p.m0, step.p_prev = p.prev;
        result.push_back(step);
    }
    return result;
}

} // namespace mc::skyreels_v2
