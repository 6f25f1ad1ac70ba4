// SPDX-License-Identifier: LGPL-2.1-or-later
#include <random>
#include <vector>

#include "engine/cache/polynomial_check.h"
#include "tests/check.h"
#include "tools/calibrate/curve.h"

using namespace mc;
using namespace mc::calibrate;

namespace {

std::vector<Point> sampled(const std::function<double(double)>& f, double least, double most, int n = 40) {
    std::vector<Point> points;
    for (int i = 0; i < n; i++) {
        const double x = least + (most - least) * i / (n - 1);
        points.push_back({x, f(x)});
    }
    return points;
}

double bernstein(const std::array<double, 5>& b, double t) {
    const double s = 1 - t;
    return b[0] * s * s * s * s + 4 * b[1] * t * s * s * s + 6 * b[2] * t * t * s * s +
           4 * b[3] * t * t * t * s + b[4] * t * t * t * t;
}

} // namespace

TEST(a_rising_quartic_is_found_again) {
    const cache::Polynomial truth{{3, 0.5, 2, 0.1, 0.02}};
    const auto curve = fit_curve(sampled([&](double x) { return truth(x); }, 0.01, 0.6));
    CHECK(curve.has_value());
    if (!curve) return;
    CHECK_NEAR(curve->least, 0.01, 0);
    CHECK_NEAR(curve->most, 0.6, 0);
    for (size_t i = 0; i < 5; i++) CHECK_NEAR(curve->polynomial.coefficients[i], truth.coefficients[i], 1e-6);
}

TEST(one_that_bends_both_ways_but_rises_is_found_again) {
    const std::array<double, 5> b = {0.1, 0.1, 0.9, 0.9, 1};
    const auto points = sampled([&](double x) { return bernstein(b, (x - 0.2) / 0.3); }, 0.2, 0.5);
    const std::array<double, 5> found = fit_rising(points, 0.2, 0.5);
    for (size_t i = 0; i < 5; i++) CHECK_NEAR(found[i], b[i], 1e-8);
}

TEST(powers_and_bernstein_are_the_same_function) {
    const std::array<double, 5> b = {0.05, 0.3, 0.4, 1.5, 1.75};
    for (auto [least, most] : {std::pair{0.0, 1.0}, {0.004, 0.62}, {0.1, 0.15}}) {
        const cache::Polynomial p = in_powers(b, least, most);
        for (double t : {0.0, 0.1, 0.35, 0.5, 0.83, 1.0})
            CHECK_NEAR(p(least + t * (most - least)), bernstein(b, t), 1e-9);
    }
}

TEST(what_falls_is_fitted_by_its_mean) {
    const auto points = sampled([](double x) { return 1 - x; }, 0, 1);
    const std::array<double, 5> b = fit_rising(points, 0, 1);
    for (double value : b) CHECK_NEAR(value, 0.5, 1e-9);
    CHECK(!fit_curve(points).has_value()); // says nothing of the distance
}

TEST(negative_values_are_fitted_by_nothing) {
    const std::array<double, 5> b = fit_rising(sampled([](double x) { return -1 - x; }, 0, 1), 0, 1);
    for (double value : b) CHECK_NEAR(value, 0, 0);
}

TEST(random_points_never_give_one_that_falls) {
    std::mt19937 random(7);
    std::uniform_real_distribution<double> unit(0, 1);
    int curves = 0;
    for (int round = 0; round < 500; round++) {
        std::vector<Point> points;
        const double start = unit(random), rise = 2 * unit(random) - 1;
        for (int i = 0, n = 2 + round % 60; i < n; i++) {
            const double x = 0.002 + 0.5 * unit(random);
            points.push_back({x, std::max(0.0, start + rise * x + 0.3 * (unit(random) - 0.5))});
        }
        const auto curve = fit_curve(points);
        if (!curve) continue;
        curves++;
        CHECK(cache::rises(curve->polynomial, curve->least, curve->most));
        double before = 0;
        for (int i = 0; i <= 100; i++) {
            const double y = curve->polynomial(curve->least + (curve->most - curve->least) * i / 100);
            CHECK(y >= before - 1e-9);
            before = y;
        }
    }
    CHECK(curves > 100);
}

TEST(too_few_points_give_none) {
    CHECK(!fit_curve({}).has_value());
    const Point same[] = {{0.1, 0.2}, {0.1, 0.3}};
    CHECK(!fit_curve(same).has_value());
}
