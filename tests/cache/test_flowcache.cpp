// SPDX-License-Identifier: LGPL-2.1-or-later
#include <cmath>
#include <limits>

#include "tests/cache/driver.h"
#include "tests/check.h"

using namespace mc;
using namespace mc::test;

namespace {

FlowCacheSettings flowcache(double threshold, int first, int last) {
    FlowCacheSettings settings;
    settings.threshold = threshold;
    settings.forced_first = first;
    settings.forced_last = last;
    return settings;
}

std::string steps(const AnySettings& settings, const std::vector<double>& distances) {
    Driver driver(settings, {1, 2, 3, 1, int(distances.size()), 99});
    for (double distance : distances) driver.step(distance);
    std::string text;
    for (const Recorded& d : driver.decisions)
        text += d.forced ? '!' : d.kind == Decision::Kind::WHOLE ? 'W' : '.';
    return text;
}

} // namespace

TEST(flowcache_accumulates_between_forced_steps) {
    const std::vector<double> eighths(10, 0.125);
    CHECK_EQ(steps(flowcache(0.25, 5, 1), eighths), "!!!!!.W.W!");
    CHECK_EQ(steps(flowcache(0.25, 1, 1), eighths), "!.W.W.W.W!");
    CHECK_EQ(steps(flowcache(0.25, 0, 0), eighths), "!.W.W.W.W."); // the first step has nothing to reuse
    CHECK_EQ(steps(flowcache(9, 1, 3), eighths), "!......!!!");
    CHECK_EQ(steps(flowcache(9, 99, 0), eighths), "!!!!!!!!!!");
    CHECK_EQ(steps(flowcache(0.25, 1, 1), {0, std::numeric_limits<double>::quiet_NaN(), .125, .125, 0}),
             "!W.W!");
}

TEST(flowcache_takes_the_mean_over_the_frames) {
    Driver driver(flowcache(1, 1, 0), {1, 2, 1, 1, 9, 9});
    driver.step(0.0);
    driver.step({{0.5, 1}, {0.25, 2}}); // 0.75 / 3, not the mean of 0.5 and 0.125
    CHECK_EQ(driver.decisions.back().distance, 0.25);
}

TEST(flowcache_keeps_chunks_and_branches_apart_and_forgets_a_window) {
    Driver driver(flowcache(0.25, 1, 1), {2, 1, 1, 2, 9, 9});
    for (int branch : {0, 1})
        for (int chunk : {0, 1}) driver.step(0.0, branch, chunk);
    driver.step(0.125, 0, 0), driver.step(0.25, 0, 1), driver.step(0.0, 1, 0), driver.step(0.125, 1, 1);
    driver.step(0.125, 0, 0), driver.step(0.125, 0, 1), driver.step(0.125, 1, 0), driver.step(0.125, 1, 1);
    CHECK_EQ(driver.kinds(), "WWWW.W..W..W");
    driver.step(0.125, 0, 0);
    driver.begin_window();
    driver.step(0.0), driver.step(0.125);
    CHECK_EQ(driver.kinds(), "W.");
}
