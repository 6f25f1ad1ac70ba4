// SPDX-License-Identifier: LGPL-2.1-or-later
#include <limits>

#include "engine/cache/polynomial_check.h"
#include "tests/check.h"

using mc::cache::Polynomial;
using mc::cache::rises;

namespace {

bool rising(std::array<double, 5> coefficients, double least, double most) {
    return rises(Polynomial{coefficients}, least, most);
}

} // namespace

TEST(polynomial_value) {
    CHECK_EQ(Polynomial{}(0.25), 0.25);
    CHECK_EQ((Polynomial{{1, 2, 3, 4, 5}}(2)), 16 + 16 + 12 + 8 + 5.0);
}

TEST(polynomial_rises) {
    CHECK(rises({}, 0, 1));
    CHECK(rising({0, 0, 1, 0, 0}, 0, 1));
    CHECK(rising({0, 0, 0, 2, -1}, 0.5, 1));
    CHECK(rising({0, 4, -6, 3, 0}, 0, 1)); // 3 x - 6 x^2 + 4 x^3, slope 3 (1 - 2 x)^2: stands still at 1/2
    CHECK(rising({1, 0, 0, 0, 0}, 0, 1));
}

TEST(polynomial_that_falls_is_found_wherever_it_falls) {
    CHECK(!rising({0, 0, 0, -1, 1}, 0, 1));
    CHECK(!rising({0, 0, 0, 0, 1}, 0, 1)); // level
    CHECK(!rising({0, 0, 0, 0, 0}, 0, 1));
    CHECK(!rising({0, 0, 1, 0, 0}, -0.1, 1));
    CHECK(!rising({0, 0, -1, 2, 0}, 0, 1.1));  // falls behind 1
    CHECK(!rising({0, 4, -6, 2.99, 0}, 0, 1)); // only around 1/2
    CHECK(!rising({-1, 0, 0, 2, 0}, 0, 0.9));  // behind 0.79
    CHECK(rising({-1, 0, 0, 2, 0}, 0, 0.79));
    CHECK(!rising({256, -512, 352, -91, 10}, 0, 1)); // two dips
}

TEST(polynomial_below_0) {
    CHECK(!rising({0, 0, 0, 1, -0.01}, 0, 1));
    CHECK(!rising({0, 0, 0, 2, -1}, 0.49, 1));
}

TEST(polynomial_that_is_no_number) {
    const double not_a_number = std::numeric_limits<double>::quiet_NaN(),
                 inf = std::numeric_limits<double>::infinity();
    for (double bad : {not_a_number, inf, -inf})
        for (size_t i = 0; i < 5; i++) {
            Polynomial polynomial{{1, 1, 1, 1, 1}};
            polynomial.coefficients[i] = bad;
            CHECK(!rises(polynomial, 0, 1));
        }
    CHECK(!rising({1e308, 1e308, 0, 0, 0}, 0, 10));
    CHECK(!rises({}, not_a_number, 1));
    CHECK(!rises({}, 0, not_a_number));
}
