// SPDX-License-Identifier: LGPL-2.1-or-later
#include <cmath>

#include "tests/cache/driver.h"
#include "tests/check.h"

using namespace mc::test;

TEST(without_a_cache_everything_is_computed) {
    Driver driver({}, {2, 2, 3, 2, 3, 3});
    for (int step = 0; step < 3; step++)
        for (int branch : {0, 1})
            for (int chunk : {0, 1}) {
                const Plan& plan = driver.step(0.0, branch, chunk);
                CHECK(plan.action == Action::WHOLE);
                CHECK(plan.tokens.empty());
                CHECK(!driver.policy->wants_motion(branch, chunk));
                CHECK(driver.policy->weights(branch, chunk).empty());
            }
    CHECK_EQ(driver.kinds(), "WWWWWWWWWWWW");
    CHECK(driver.decisions[3].forced && driver.decisions[3].chunk == 1 && driver.decisions[3].branch == 1);
    CHECK(std::isnan(driver.decisions[3].distance) && std::isnan(driver.decisions[3].accumulated));
}
