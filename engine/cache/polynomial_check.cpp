// SPDX-License-Identifier: LGPL-2.1-or-later
#include "engine/cache/polynomial_check.h"

#include <algorithm>
#include <cmath>
#include <vector>

namespace mc::cache {
namespace {

// Of a x^2 + b x + c; those that do not exist or are NaN are left out.
std::vector<double> roots(double a, double b, double c) {
    std::vector<double> found;
    const double scale = std::max({std::fabs(a), std::fabs(b), std::fabs(c)}); // squares stay in range
    if (!(scale > 0) || !std::isfinite(scale)) return found;
    a /= scale, b /= scale, c /= scale;
    const auto add = [&](double x) {
        if (std::isfinite(x)) found.push_back(x);
    };
    const double discriminant = b * b - 4 * a * c;
    if (!(discriminant >= 0)) return found;
    const double q = -0.5 * (b + std::copysign(std::sqrt(discriminant), b)); // no difference of near equals
    add(q / a);
    add(c / q);
    return found;
}

// At x, with the sum of the sizes of its terms: what rounding can do is a share of that.
struct Value {
    double value, size;
    bool falls() const { return !(value >= -1e-13 * size) || !std::isfinite(size); }
};

Value polynomial_at(const Polynomial& polynomial, double x) {
    Value at{0, 0};
    for (double c : polynomial.coefficients) at = {at.value * x + c, at.size * std::fabs(x) + std::fabs(c)};
    return at;
}

Value slope_at(const Polynomial& polynomial, double x) {
    Value at{0, 0};
    for (int i = 0; i < 4; i++) {
        const double c = (4 - i) * polynomial.coefficients[size_t(i)];
        at = {at.value * x + c, at.size * std::fabs(x) + std::fabs(c)};
    }
    return at;
}

} // namespace

bool rises(const Polynomial& polynomial, double least, double most) {
    const Value first = polynomial_at(polynomial, least), last = polynomial_at(polynomial, most);
    if (first.falls() || last.falls() || !(last.value > first.value)) return false;
    // The slope is least at an end, or where the second derivative is 0.
    const auto& c = polynomial.coefficients;
    std::vector<double> places = roots(12 * c[0], 6 * c[1], 2 * c[2]);
    places.insert(places.end(), {least, most});
    for (double x : places)
        if (x >= least && x <= most && slope_at(polynomial, x).falls()) return false;
    return true;
}

} // namespace mc::cache
