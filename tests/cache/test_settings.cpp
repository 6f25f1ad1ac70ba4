// SPDX-License-Identifier: LGPL-2.1-or-later
// Every knob out of its range is refused with what it is and what it must be.
#include <cmath>
#include <limits>

#include "engine/error.h"
#include "tests/cache/driver.h"
#include "tests/check.h"

using namespace mc;
using namespace mc::test;

namespace {

constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();
constexpr double infinite = std::numeric_limits<double>::infinity();

template <class T, class V>
Settings with(T Settings::*member, V value) {
    Settings settings;
    settings.kind = Kind::MOTIONCACHE;
    settings.*member = value;
    return settings;
}

void refused(const Settings& settings, const char* text) {
    CHECK_ERROR(make_policy(settings), MC_ERROR_SETTINGS, text);
}

} // namespace

TEST(settings_out_of_range) {
    for (double bad : {0.0, -0.1, not_a_number, infinite, -infinite})
        refused(with(&Settings::threshold, bad), "cache-threshold is ");
    refused(with(&Settings::threshold, -0.5),
            "cache-threshold is -0.5 but must be a number above 0; 0.1 is usual.");
    for (double bad : {-0.01, 1.01, not_a_number, infinite}) {
        refused(with(&Settings::weight_floor, bad), "cache-weight-floor is ");
        refused(with(&Settings::min_ratio, bad), "cache-min-ratio is ");
        refused(with(&Settings::vote, bad), "cache-vote is ");
    }
    for (double bad : {0.0, -0.5, 1.01, not_a_number})
        refused(with(&Settings::first_share, bad), "cache-first-share is ");
    for (double bad : {-0.01, 8.01, not_a_number, infinite})
        refused(with(&Settings::noise_power, bad), "cache-noise-power is ");
    refused(with(&Settings::weight_floor, 2.0),
            "cache-weight-floor is 2 but must lie between 0 and 1; 0.6 is usual.");
    refused(with(&Settings::warmup, -1), "cache-warmup is -1 but must be 0 or more; 4 is usual.");
    refused(with(&Settings::coarse_updates, -1), "cache-coarse-updates is -1");
    refused(with(&Settings::forced_first, -1), "cache-warmup (the number of forced first evaluations) is -1");
    refused(with(&Settings::forced_last, -2), "forced last evaluations is -2");
    refused(with(&Settings::counter_period, -1), "period of its counter is -1");
    for (double bad : {not_a_number, infinite, -infinite})
        for (size_t i = 0; i < 5; i++) {
            Settings settings;
            settings.polynomial.coefficients[i] = bad;
            refused(settings, "coefficient of the cache's polynomial is ");
        }
}

TEST(settings_at_the_ends_of_their_ranges) {
    for (Kind kind : {Kind::NONE, Kind::TEACACHE, Kind::FLOWCACHE, Kind::MOTIONCACHE})
        for (double end : {0.0, 1.0}) {
            Settings settings;
            settings.kind = kind;
            settings.threshold = std::numeric_limits<double>::min();
            settings.weight_floor = settings.min_ratio = end;
            settings.vote = end;
            settings.warmup = settings.coarse_updates = settings.forced_first = settings.forced_last = 0;
            CHECK(make_policy(settings) != nullptr);
            settings.vote.reset();
            settings.warmup = settings.coarse_updates = settings.forced_first = settings.forced_last =
                settings.counter_period = std::numeric_limits<int>::max();
            settings.threshold = std::numeric_limits<double>::max();
            Driver driver(settings, {1, 2, 2, 2, 4, 4});
            for (int i = 0; i < 4; i++) CHECK(driver.step(1e300).action == Action::ALL);
        }
}

TEST(without_a_cache_everything_is_computed) {
    Driver driver({}, {2, 2, 3, 2, 3, 3});
    for (int step = 0; step < 3; step++)
        for (int branch : {0, 1})
            for (int chunk : {0, 1}) {
                const Plan& plan = driver.step(0.0, branch, chunk);
                CHECK(plan.action == Action::ALL);
                CHECK(plan.tokens.empty());
                CHECK(!driver.policy->wants_motion(branch, chunk));
                CHECK(driver.policy->weights(branch, chunk).empty());
            }
    CHECK_EQ(driver.kinds(), "FFFFFFFFFFFF");
    CHECK(driver.decisions[3].forced && driver.decisions[3].chunk == 1 && driver.decisions[3].branch == 1);
    CHECK(std::isnan(driver.decisions[3].distance) && std::isnan(driver.decisions[3].accumulated));
}

TEST(motioncache_alone_looks_at_a_prefix) {
    for (Kind kind : {Kind::NONE, Kind::TEACACHE, Kind::FLOWCACHE, Kind::MOTIONCACHE}) {
        Settings settings;
        settings.kind = kind;
        CHECK_EQ(make_policy(settings)->wants_prefix_motion(), kind == Kind::MOTIONCACHE);
    }
}

TEST(faults_of_a_sampler_are_told) {
    for (Kind kind : {Kind::NONE, Kind::TEACACHE, Kind::FLOWCACHE, Kind::MOTIONCACHE}) {
        Settings settings;
        settings.kind = kind;
        const auto policy = make_policy(settings);
        const auto frames = moved(0.1, 2);
        const auto decide = [&](int row, int branch, ChunkStep chunk) {
            policy->decide(row, branch, {&chunk, 1});
        };
        CHECK_ERROR(decide(0, 0, ChunkStep{0, 0, {}}), MC_ERROR_INTERNAL, "beyond its window");
        CHECK_ERROR(policy->begin_window({0, 2, 2, 2, 4, 4}), MC_ERROR_INTERNAL, "empty window");
        CHECK_ERROR(policy->begin_window({1, 2, 2, 2, 4, 0}), MC_ERROR_INTERNAL, "empty window");
        policy->begin_window({2, 2, 3, 2, 4, 6});
        CHECK_ERROR(decide(6, 0, ChunkStep{0, 0, {}}), MC_ERROR_INTERNAL, "row 6, branch 0 beyond");
        CHECK_ERROR(decide(0, 2, ChunkStep{0, 0, {}}), MC_ERROR_INTERNAL, "row 0, branch 2 beyond");
        CHECK_ERROR(decide(0, 0, ChunkStep{2, 0, {}}), MC_ERROR_INTERNAL, "step 0 of chunk 2");
        CHECK_ERROR(decide(0, 0, ChunkStep{0, 4, frames}), MC_ERROR_INTERNAL, "step 4 of chunk 0");
        CHECK_ERROR(decide(0, 0, ChunkStep{0, 1, {}}), MC_ERROR_INTERNAL, "0 distances for a chunk of 2");
        CHECK_ERROR(decide(0, 0, ChunkStep{0, 0, frames}), MC_ERROR_INTERNAL, "2 distances");
        decide(0, 0, ChunkStep{0, 0, {}});
        if (kind != Kind::MOTIONCACHE) continue;
        const std::vector<float> change(5);
        CHECK_ERROR(policy->motion(0, 0, change, false), MC_ERROR_INTERNAL,
                    "5 changes for a chunk of 6 tokens");
        CHECK_ERROR(policy->wants_motion(2, 0), MC_ERROR_INTERNAL, "branch 2, chunk 0");
        CHECK_ERROR(policy->weights(0, -1), MC_ERROR_INTERNAL, "branch 0, chunk -1");
    }
}
