// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// The settings that several caches have, and what the checks of their ranges share.
#include <array>
#include <string>

#include "engine/request/fields.h"

namespace mc::cache {

// Highest power first. Rescales a relative distance of time embeddings to an estimate of the output's change.
struct Polynomial {
    std::array<double, 5> coefficients{0, 0, 0, 1, 0}; // the distance itself
    double operator()(double x) const {
        double sum = 0;
        for (double c : coefficients) sum = sum * x + c;
        return sum;
    }
    bool operator==(const Polynomial&) const = default;
};

struct CommonSettings {
    // How a reused token's residual is taken for a step: REPEAT, as it was last computed; TAYLOR, extrapolated
    // to first order from its last two computed values, over the noise level (sigma); SOLVER: it is not, the solver
    // skips reused steps and goes in one step of its own order from where the token was last computed to where it is
    // next (docs/algorithms.md#solver-reuse). Both branches compute the same tokens.
    CacheReuse reuse = CacheReuse::REPEAT;
    double threshold = 0.1; // accumulated distance at which to compute again; finite, > 0
    Polynomial polynomial;  // finite coefficients

    bool operator==(const CommonSettings&) const = default;
};

// Sets those that the request gives.
inline void read_common(const CacheFields& request, CommonSettings& settings) {
    if (request.threshold) settings.threshold = *request.threshold;
    if (request.reuse) settings.reuse = *request.reuse;
}

// Throw MC_ERROR_SETTINGS for the first value out of its range. The sentence names the property that sets
// it, where there is one.
void check_common(const CommonSettings& settings);
void check_share(const char* what, double value, const char* usual); // 0..1
void check_count(const char* what, int value, const char* usual);    // >= 0
[[noreturn]] void refuse_value(const std::string& what, double value, const std::string& range);

} // namespace mc::cache
