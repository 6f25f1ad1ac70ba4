// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// The distance polynomial: how much the model's output changes when the time embedding moves by so much. It
// must never say that a longer way changes less, so it is fitted in a basis in which "not negative and
// nowhere falling" is a sign.
#include <array>
#include <optional>
#include <span>

#include "engine/cache/settings.h"

namespace mc::calibrate {

struct Point {
    double x, y; // relative distance of two time embeddings; relative change of the velocity. Both >= 0
};

// Coefficients b in Bernstein's basis of degree 4 over [least, most],
//     sum b_i binomial(4, i) t^i (1 - t)^(4 - i)      t = (x - least) / (most - least)
// those nearest to the points in least squares with 0 <= b0 <= b1 <= ... <= b4.
std::array<double, 5> fit_rising(std::span<const Point> points, double least, double most);
// The same polynomial in powers of x.
cache::Polynomial in_powers(const std::array<double, 5>& bernstein, double least, double most);

struct Curve {
    cache::Polynomial polynomial; // passes cache::rises over the range
    double least, most;           // x of the points
};
// Empty where the points do not rise: the distance itself is then the best estimate.
std::optional<Curve> fit_curve(std::span<const Point> points);

} // namespace mc::calibrate
