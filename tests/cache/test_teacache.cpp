// SPDX-License-Identifier: LGPL-2.1-or-later
#include <cmath>
#include <limits>

#include "tests/cache/driver.h"
#include "tests/check.h"

using namespace mc;
using namespace mc::test;

namespace {

TeaCacheSettings teacache(double threshold, int first, int last, int period = 0) {
    TeaCacheSettings settings;
    settings.threshold = threshold;
    settings.forced_first = first;
    settings.forced_last = last;
    settings.counter_period = period;
    return settings;
}

// F computed, ! computed and forced, . reused; rows of a window that steps together.
std::string rows(const AnySettings& settings, const std::vector<double>& distances, int branch = 0,
                 int branches = 2) {
    const int count = int(distances.size());
    Driver driver(settings, {1, 2, 3, branches, count, count});
    for (double distance : distances) driver.step(distance, branch);
    std::string text;
    for (const Recorded& d : driver.decisions)
        text += d.forced ? '!' : d.kind == Decision::Kind::WHOLE ? 'W' : '.';
    return text;
}

} // namespace

TEST(teacache_accumulates_and_falls_back_to_0) {
    CHECK_EQ(rows(teacache(0.25, 1, 0), {0, .125, .125, .125, .0625, .0625, 1, .125}), "!.W..WW.");
    CHECK_EQ(rows(teacache(0.25, 2, 1), {0, .125, .125, .125, .0625, .0625, 1, .125}), "!!.W..W!");
    CHECK_EQ(rows(teacache(0.25, 0, 0), {0, .125, .125, .125}), "!.W.");
    CHECK_EQ(rows(teacache(9, 0, 0), {0, 1, 1, 1}), "!...");
    CHECK_EQ(rows(teacache(9, 99, 0), {0, 1, 1, 1}), "!!!!");
    CHECK_EQ(rows(teacache(9, 0, 99), {0, 1, 1, 1}), "!!!!");
}

TEST(teacache_rescales_the_distance) {
    TeaCacheSettings settings = teacache(0.5, 1, 0);
    settings.polynomial.coefficients = {0, 0, 4, 0, 0.25}; // 4 x^2 + 1/4
    Driver driver(settings, {1, 1, 1, 1, 4, 4});
    for (double distance : {0.0, 0.125, 0.25, 0.0}) driver.step(distance);
    CHECK_EQ(driver.decisions[1].distance, 0.3125);
    CHECK_EQ(driver.decisions[2].accumulated, 0.8125);
    CHECK_EQ(driver.kinds(), "W.W.");
    CHECK_EQ(driver.decisions[3].accumulated, 0.25);
}

// What is no number must not freeze the picture.
TEST(teacache_computes_when_a_distance_is_no_number) {
    const double not_a_number = std::numeric_limits<double>::quiet_NaN();
    CHECK_EQ(rows(teacache(0.25, 1, 0), {0, not_a_number, .125, .125}), "!W.W");
    Driver driver(teacache(0.25, 1, 0), {1, 1, 1, 1, 4, 4});
    for (int i = 0; i < 3; i++) driver.step({{0, 0}});
    CHECK_EQ(driver.kinds(), "WWW");
}

TEST(teacache_counts_forwards_of_both_branches) {
    const std::vector<double> still(8, 0);
    // ret_steps 2 and cutoff 2 N - 2 of the official code with two branches.
    CHECK_EQ(rows(teacache(1, 1, 1), still), "!......!");
    // Its period is N forwards, N / 2 rows: the forced ones return in the middle, and the count never reaches
    // the end.
    CHECK_EQ(rows(teacache(1, 1, 1, 8), still), "!...!...");
    CHECK_EQ(rows(teacache(1, 1, 1, 8), still, 1), "!...!...");
    CHECK_EQ(rows(teacache(1, 2, 1, 8), still), "!!..!!..");
    CHECK_EQ(rows(teacache(1, 1, 1, 16), still), "!......!");
    // An odd period reaches the branches in different rows; each keeps its own state.
    CHECK_EQ(rows(teacache(1, 1, 0, 7), still, 0), "!...!..!");
    CHECK_EQ(rows(teacache(1, 1, 0, 7), still, 1), "!..!...!");
    // Without guidance a row is one forward.
    CHECK_EQ(rows(teacache(1, 1, 1), still, 0, 1), "!......!");
    CHECK_EQ(rows(teacache(1, 1, 0, 4), still, 0, 1), "!...!...");
}

TEST(teacache_decides_once_for_the_chunks_of_a_row) {
    const auto policy = make_policy(teacache(0.25, 1, 0));
    std::vector<Recorded> decisions;
    policy->observe([&](const Decision& d) { decisions.push_back(recorded(d)); });
    policy->begin_window({3, 2, 1, 1, 4, 8});
    const auto a = moved(0.125, 2), b = moved(0.25, 2), c = moved(0, 2);
    const auto row = [&](int index, const std::vector<ChunkStep>& chunks) {
        std::string text;
        for (const Plan& plan : policy->decide(index, 0, chunks))
            text += plan.action == Action::WHOLE ? 'W' : '.';
        return text;
    };
    CHECK_EQ(row(0, {{0, 0, {}}}), "W");
    // The mean over the frames of both.
    CHECK_EQ(row(1, {{0, 1, a}, {1, 0, {}}}),
             ".W"); // a chunk that starts is computed and leaves the others alone
    CHECK_EQ(decisions.back().forced, true);
    CHECK(std::isnan(decisions.back().distance));
    CHECK_EQ(decisions[1].accumulated, 0.125);
    CHECK_EQ(row(2, {{0, 2, c}, {1, 1, b}}), "WW"); // 0.125 + (0 + 0.25) / 2
    CHECK_EQ(decisions.back().accumulated, 0.25);
    CHECK_EQ(decisions[decisions.size() - 2].accumulated, 0.25);
    CHECK_EQ(row(3, {{0, 3, c}, {1, 2, a}}), "..");
    // Chunk 0 has finished: it has no part any more. Nobody but a starting chunk: the sum stays as it is.
    CHECK_EQ(row(4, {{2, 0, {}}}), "W");
    CHECK_EQ(row(5, {{1, 3, a}, {2, 1, a}}), "..");
    CHECK_EQ(decisions.back().accumulated, 0.1875);
}

TEST(teacache_keeps_branches_apart_and_forgets_a_window) {
    Driver driver(teacache(0.25, 1, 0), {1, 2, 1, 2, 4, 4});
    driver.step(0.0, 0), driver.step(0.0, 1);
    driver.step(0.125, 0), driver.step(0.25, 1);
    driver.step(0.125, 0), driver.step(0.125, 1);
    CHECK_EQ(driver.kinds(), "WW.WW.");
    driver.step(0.125, 0);
    driver.begin_window();
    driver.step(0.0), driver.step(0.125);
    CHECK_EQ(driver.kinds(), "W.");
    CHECK_EQ(driver.decisions.back().accumulated, 0.125);
}
