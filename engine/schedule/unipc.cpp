#include "engine/schedule/unipc.h"

#include <algorithm>
#include <cmath>

namespace mc::schedule {
namespace {

double lambda(double sigma) {
    return std::log1p(-sigma) - std::log(sigma);
}

} // namespace

std::vector<UniPcStep> unipc_steps(const TimeGrid& grid) {
    const int steps = int(grid.timesteps.size());
    const auto sigma = [&](int i) { return double(grid.sigmas[i]); };
    std::vector<UniPcStep> result;
    int order_before = 0;
    for (int i = 0; i < steps; i++) {
        UniPcStep step{};
        step.sigma = sigma(i);

        if (i > 0) { // corrector, with the order of the predictor that came here
            step.correct = true;
            const double h = lambda(sigma(i)) - lambda(sigma(i - 1));
            const double B = std::expm1(-h);
            const double scale = -(1 - sigma(i)) * B;
            double on_new = 0.5; // rho of x0 - m0
            double on_old = 0;   // rho of (m_prev - m0) / r, already divided by r
            if (order_before == 2) {
                const double r = (lambda(sigma(i - 2)) - lambda(sigma(i - 1))) / h;
                const double k1 = B / -h - 1, k2 = k1 / -h - 0.5;
                const double b1 = k1 / B, b2 = 2 * k2 / B;
                const double rho1 = (b1 - b2) / (1 - r);
                on_new = b1 - rho1;
                on_old = rho1 / r;
            }
            step.c_last = sigma(i) / sigma(i - 1);
            step.c_m0 = scale * (1 - on_new - on_old);
            step.c_prev = scale * on_old;
            step.c_x0 = scale * on_new;
        }

        step.order = std::min({2, steps - i, i + 1});
        order_before = step.order;
        if (i + 1 == steps) { // sigma 0: h is infinite, B is -1
            step.p_m0 = 1;
        } else {
            const double h = lambda(sigma(i + 1)) - lambda(sigma(i));
            const double scale = -(1 - sigma(i + 1)) * std::expm1(-h);
            const double on_old =
                step.order == 2 ? 0.5 * h / (lambda(sigma(i - 1)) - lambda(sigma(i))) : 0.0; // 0.5 / r
            step.p_x = sigma(i + 1) / sigma(i);
            step.p_m0 = scale * (1 - on_old);
            step.p_prev = scale * on_old;
        }
        result.push_back(step);
    }
    return result;
}

} // namespace mc::schedule
