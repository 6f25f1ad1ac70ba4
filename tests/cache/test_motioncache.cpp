// SPDX-License-Identifier: LGPL-2.1-or-later
#include <cmath>
#include <limits>

#include "tests/cache/driver.h"
#include "tests/check.h"

using namespace mc;
using namespace mc::test;

namespace {

// Threshold 1, no vote, no least ratio, weights change / 4 where a frame's largest change is 4. Distances and
// changes are few bits: sums of floats are exact (1e-8 of a quotient is less than half a bit).
MotionCacheSettings motioncache(int warmup, int coarse) {
    MotionCacheSettings settings;
    settings.threshold = 1;
    settings.warmup = warmup;
    settings.coarse_updates = coarse;
    settings.vote.reset();
    settings.min_ratio = 0;
    settings.weights = CacheWeights::MAX;
    return settings;
}

constexpr WindowShape two_frames_of_four{1, 2, 4, 1, 99, 99};

} // namespace

TEST(motioncache_warms_up) {
    for (int warmup : {0, 1, 4}) {
        Driver driver(motioncache(warmup, 99), two_frames_of_four);
        for (int i = 0; i < warmup + 6; i++) {
            const Plan& plan = driver.step(0.5);
            CHECK(i > warmup || (plan.action == Action::WHOLE && plan.tokens.empty()));
        }
        CHECK_EQ(driver.kinds(), std::string(size_t(warmup), 'w') + "1.W.W.");
        for (int i = 0; i <= warmup; i++) {
            const Recorded& d = driver.decisions[size_t(i)];
            CHECK(d.forced && d.weights.empty() && d.due.empty() && std::isnan(d.distance) && !d.fine);
        }
        const Recorded& last = driver.decisions.back();
        CHECK(!last.forced && !last.weighted && !last.fine);
        CHECK_EQ(last.coarse_updates, 2);
        CHECK_NEAR(last.distance, 0.5, 1e-8);
        CHECK(last.before == std::vector<float>(8, 0.5f));
    }
}

TEST(motioncache_keeps_the_first_chunk_closer) {
    MotionCacheSettings settings = motioncache(0, 99);
    settings.first_share = 0.5;
    for (int chunk : {0, 1}) {
        Driver driver(settings, {2, 2, 4, 1, 99, 99});
        for (int i = 0; i < 7; i++) driver.step(0.25, 0, chunk);
        CHECK_EQ(driver.kinds(), chunk == 0 ? "1.W.W.W" : "1...W..");
    }
}

TEST(motioncache_counts_late_distances_less) {
    MotionCacheSettings settings = motioncache(0, 99);
    for (double power : {0.0, 1.0, 2.0}) {
        settings.noise_power = power;
        Driver driver(settings, two_frames_of_four);
        for (double sigma : {1.0, 1.0, 0.5, 0.5, 0.25}) driver.step(0.5, 0, 0, sigma);
        CHECK_EQ(driver.kinds(), power == 0 ? "1.W.W" : power == 1 ? "1..W." : "1....");
        CHECK_NEAR(driver.decisions[4].distance, 0.5 * std::pow(0.25, power), 1e-8); // as rescaled
    }
}

TEST(motioncache_begins_the_fine_phase_after_the_coarse_updates) {
    Driver driver(motioncache(0, 2), two_frames_of_four);
    std::string wants;
    for (int i = 0; i < 5; i++) {
        driver.step(0.5);
        wants += driver.policy->wants_motion(0, 0) ? 'm' : '.';
    }
    CHECK_EQ(driver.kinds(), "1.W.W");
    CHECK_EQ(wants, "....m"); // from the end of the step that reached the count
    CHECK(!driver.decisions[4].weighted && driver.decisions[4].fine);
    CHECK_EQ(driver.decisions[4].coarse_updates, 2);
    driver.policy->motion(0, 0, std::vector<float>{4, 4, 2, 2, 4, 4, 2, 1}, true);
    driver.step(1.0);
    CHECK(driver.decisions[5].weighted && driver.decisions[5].fine);
    CHECK(driver.policy->wants_motion(0, 0));
    CHECK_EQ(driver.kinds(), "1.W.Wp");
    CHECK_EQ(joined(driver.plans.back().tokens), "0 1 4 5");
    CHECK_EQ(joined(driver.decisions.back().after),
             "0.000000 0.000000 0.500000 0.500000 0.000000 0.000000 0.500000 0.250000");
    CHECK_EQ(driver.decisions.back().coarse_updates, 2); // counts no more
    // A reused step renews the weights too.
    driver.step(0.25);
    CHECK_EQ(driver.kinds(), "1.W.Wp.");
    CHECK(driver.policy->wants_motion(0, 0));
}

TEST(motioncache_without_a_coarse_phase) {
    Driver driver(motioncache(1, 0), two_frames_of_four);
    driver.step(0.0);
    CHECK(!driver.policy->wants_motion(0, 0));
    CHECK(driver.policy->weights(0, 0).empty());
    driver.step(0.0);
    CHECK_EQ(driver.kinds(), "w1");
    CHECK(driver.policy->wants_motion(0, 0));
    CHECK(driver.decisions[1].fine && !driver.decisions[1].weighted);
    CHECK_EQ(driver.decisions[1].coarse_updates, 0);
    driver.policy->motion(0, 0, std::vector<float>{4, 0, 0, 0, 0, 4, 0, 0}, true);
    CHECK(driver.decisions[1].weights.empty());
    CHECK_EQ(driver.policy->weights(0, 0)[0], 1.0f);
    driver.step(1.0);
    CHECK_EQ(joined(driver.plans.back().tokens), "0 5");
    CHECK(driver.decisions[2].weighted);
    CHECK_EQ(driver.decisions[2].coarse_updates, 0);
}

TEST(motioncache_first_frame_of_a_chunk) {
    WindowShape shape = two_frames_of_four;
    shape.chunks = 2;
    MotionCacheSettings settings = motioncache(0, 0);
    settings.weights = CacheWeights::MEAN;
    Driver driver(settings, shape);
    const std::vector<float> change{8, 0, 0, 0, 0, 4, 0, 0};
    const auto first_weights = [&](int chunk, bool has_previous) {
        driver.policy->motion(0, chunk, change, has_previous);
        const auto weights = driver.policy->weights(0, chunk);
        return joined(std::vector<float>(weights.begin(), weights.begin() + 2));
    };
    driver.step(0.0, 0, 0), driver.step(0.0, 0, 1);
    CHECK_EQ(first_weights(0, false), "0.000000 4.000000"); // the second frame's
    CHECK_EQ(first_weights(1, false), "1.000000 1.000000");
    CHECK_EQ(first_weights(1, true), "4.000000 0.000000");
    CHECK_EQ(first_weights(0, true), "4.000000 0.000000");
}

TEST(motioncache_without_motion_weights_stays_coarse) {
    MotionCacheSettings settings = motioncache(0, 0);
    settings.weights = CacheWeights::NONE;
    Driver driver(settings, two_frames_of_four);
    for (int i = 0; i < 5; i++) {
        driver.step(0.5);
        CHECK(!driver.policy->wants_motion(0, 0));
    }
    CHECK_EQ(driver.kinds(), "1.W.W");
    CHECK_EQ(driver.decisions.back().coarse_updates, 2);
    CHECK(driver.decisions.back().weights == std::vector<float>(8, 1.0f));
}

TEST(motioncache_votes_over_the_frames) {
    const std::vector<float> change{4, 4, 0, 0, 4, 0, 4, 0, 4, 4, 0, 0}; // 3, 2, 1, 0 of 3 frames move
    const auto due = [&](std::optional<double> vote, double& ratio) {
        MotionCacheSettings settings = motioncache(0, 0);
        settings.vote = vote;
        Driver driver(settings, {1, 3, 4, 1, 9, 9});
        driver.step(0.0);
        driver.policy->motion(0, 0, change, true);
        const Plan plan = driver.step(1.0);
        const Recorded& d = driver.decisions.back();
        CHECK(d.due == std::vector<uint8_t>({1, 1, 0, 0, 1, 0, 1, 0, 1, 1, 0, 0}));
        CHECK(d.computed == d.voted);
        ratio = 0;
        for (size_t t = 0; t < d.voted.size(); t++) {
            ratio += d.voted[t] / 12.0;
            CHECK_EQ(d.after[t], d.voted[t] ? 0.0f : d.before[t]);
        }
        return joined(plan.tokens);
    };
    double ratio;
    CHECK_EQ(due({}, ratio), "0 1 4 6 8 9");
    // With the vote a still token of a moving position is computed, a moving one of a still position is not:
    // its sum stays above the threshold.
    CHECK_EQ(due(0.5, ratio), "0 1 4 5 8 9");
    CHECK_NEAR(ratio, 0.5, 1e-12);
    CHECK_EQ(due(0.75, ratio), "0 4 8");
    CHECK_EQ(due(0.0, ratio), "0 1 2 4 5 6 8 9 10");
    CHECK_EQ(due(1.0, ratio), "");
}

TEST(motioncache_puts_few_tokens_off_and_keeps_their_sums) {
    MotionCacheSettings settings = motioncache(0, 0);
    settings.min_ratio = 0.5;
    Driver driver(settings, two_frames_of_four);
    driver.step(0.0);
    const auto step = [&](double distance, const std::vector<float>& change) {
        driver.policy->motion(0, 0, change, true);
        driver.step(distance);
    };
    step(1.0, {4, 4, 2, 1, 4, 2, 2, 1}); // 3 of 8 are due
    CHECK(driver.decisions.back().kind == Decision::Kind::SUPPRESSED);
    CHECK(driver.plans.back().action == Action::REUSED && driver.plans.back().tokens.empty());
    CHECK(driver.decisions.back().after == driver.decisions.back().before);
    CHECK(driver.decisions.back().voted == std::vector<uint8_t>({1, 1, 0, 0, 1, 0, 0, 0}));
    CHECK(driver.decisions.back().computed == std::vector<uint8_t>(8, 0));
    CHECK(driver.policy->wants_motion(0, 0));
    step(0.0, {4, 4, 4, 4, 4, 4, 4, 4}); // still due
    CHECK_EQ(driver.kinds(), "1--");
    step(0.5, {4, 0, 4, 0, 4, 0, 0, 0}); // one more: half of them, which is not less
    CHECK_EQ(driver.kinds(), "1--p");
    CHECK_EQ(joined(driver.plans.back().tokens), "0 1 2 4");
    CHECK_EQ(driver.decisions.back().after[0], 0.0f);
    CHECK_EQ(driver.decisions.back().after[3], 0.25f);
    step(0.25, {4, 4, 4, 4, 4, 4, 4, 4}); // none at all is no suppression
    CHECK_EQ(driver.kinds(), "1--p.");
}

// The share that a ratio allows is met exactly, in spite of binary rounding.
TEST(motioncache_compares_shares_exactly) {
    for (int wanted = 1; wanted <= 10; wanted++) {
        MotionCacheSettings settings = motioncache(0, 0);
        settings.min_ratio = wanted / 10.0;
        Driver driver(settings, {1, 1, 10, 1, 9, 9});
        driver.step(0.0);
        std::vector<float> change(10, 0);
        std::fill_n(change.begin(), wanted, 4);
        driver.policy->motion(0, 0, change, true);
        driver.step(1.0);
        CHECK_EQ(driver.kinds(), wanted == 10 ? "1W" : "1p");
    }
}

TEST(motioncache_takes_one_distance_per_chunk_or_one_per_frame) {
    const std::vector<FrameDistance> frames{{2, 1}, {1, 4}};
    MotionCacheSettings settings = motioncache(0, 99);
    Driver global(settings, two_frames_of_four);
    global.step(0.0);
    global.step(frames);
    CHECK_NEAR(global.decisions[1].distance, 0.6, 1e-7); // 3 / 5
    CHECK(global.decisions[1].token_distance == std::vector<float>(8, float(global.decisions[1].distance)));
    settings.distance = CacheDistance::TOKEN;
    Driver token(settings, two_frames_of_four);
    token.step(0.0);
    token.step(frames);
    CHECK_NEAR(token.decisions[1].distance, 1.125, 1e-6);
    CHECK_NEAR(token.decisions[1].token_distance[3], 2, 1e-6);
    CHECK_NEAR(token.decisions[1].token_distance[4], 0.25, 1e-6);
    CHECK_EQ(joined(token.plans.back().tokens),
             "0 1 2 3"); // a part, already in the coarse phase, and it counts
    CHECK_EQ(token.decisions[1].coarse_updates, 1);
    // A magnitude of 0 is no division by 0.
    token.step({{0, 0}, {0, 0}});
    CHECK_EQ(token.decisions.back().distance, 0.0);
}

TEST(motioncache_computes_when_a_distance_is_no_number) {
    const double not_a_number = std::numeric_limits<double>::quiet_NaN();
    Driver driver(motioncache(0, 99), two_frames_of_four);
    for (double distance : {0.0, not_a_number, 0.25, -std::numeric_limits<double>::infinity()})
        driver.step(distance);
    CHECK_EQ(driver.kinds(), "1W.W");

    MotionCacheSettings falling = motioncache(0, 99);
    falling.polynomial.coefficients = {0, 0, -1e300, 1, 0};
    Driver overflow(falling, two_frames_of_four);
    for (double distance : {0.0, 1e10, 0.0}) overflow.step(distance);
    CHECK_EQ(overflow.kinds(), "1W.");
}

TEST(motioncache_of_one_frame_and_one_token) {
    MotionCacheSettings settings = motioncache(0, 1);
    settings.vote = 0.5;
    settings.min_ratio = 0.4;
    Driver driver(settings, {1, 1, 1, 1, 99, 99});
    for (int i = 0; i < 9; i++) {
        driver.step(0.5);
        if (driver.policy->wants_motion(0, 0)) driver.policy->motion(0, 0, std::vector<float>{3}, false);
    }
    CHECK_EQ(driver.kinds(), "1.W.W.W.W");
}

TEST(motioncache_keeps_chunks_and_branches_apart) {
    WindowShape shape = two_frames_of_four;
    shape.chunks = 3;
    shape.branches = 2;
    Driver driver(motioncache(1, 1), shape);
    for (int i = 0; i < 5; i++) driver.step(1.0, 1, 2);
    driver.decisions.clear();
    CHECK(driver.policy->wants_motion(1, 2));
    for (int branch : {0, 1})
        for (int chunk : {0, 1, 2}) {
            if (branch == 1 && chunk == 2) continue;
            CHECK(!driver.policy->wants_motion(branch, chunk));
            driver.step(0.5, branch, chunk), driver.step(0.5, branch, chunk), driver.step(0.5, branch, chunk);
        }
    CHECK_EQ(driver.kinds(), "w1.w1.w1.w1.w1.");
}

TEST(motioncache_forgets_a_window) {
    Driver driver(motioncache(0, 1), two_frames_of_four);
    driver.step(1.0), driver.step(1.0);
    driver.policy->motion(0, 0, std::vector<float>{4, 1, 1, 1, 4, 1, 1, 1}, false);
    driver.step(0.5);
    driver.begin_window();
    CHECK(!driver.policy->wants_motion(0, 0));
    CHECK(driver.policy->weights(0, 0).empty());
    driver.step(1.0), driver.step(0.5);
    CHECK_EQ(driver.kinds(), "1.");
    CHECK(driver.decisions.back().before == std::vector<float>(8, 0.5f));
    CHECK_EQ(driver.decisions.back().coarse_updates, 0);
}

// With any settings and motion: a PARTIAL plan is ascending, not empty and not complete, others
// have none, and the masks say the same as the plan.
TEST(motioncache_plans_are_sound) {
    uint32_t seed = 1;
    const auto random = [&](int below) {
        seed = seed * 1664525u + 1013904223u;
        return int(seed >> 16) % below;
    };
    int partial = 0;
    for (int run = 0; run < 400; run++) {
        MotionCacheSettings settings = motioncache(random(3), random(3));
        settings.weights = CacheWeights(random(4));
        settings.distance = CacheDistance(random(2));
        settings.weight_floor = random(5) / 4.0;
        settings.min_ratio = random(5) / 8.0;
        if (random(2)) settings.vote = random(5) / 4.0;
        const int frames = 1 + random(4), positions = 1 + random(6), steps = 12;
        Driver driver(settings, {1, frames, positions, 1, steps, steps});
        for (int step = 0; step < steps; step++) {
            std::vector<FrameDistance> distance;
            for (int f = 0; f < frames; f++) distance.push_back({random(100) / 100.0, 1});
            const Plan plan = driver.step(distance);
            const Recorded& d = driver.decisions.back();
            int next = 0, tokens = 0;
            for (int32_t token : plan.tokens) {
                CHECK(token >= next && token < frames * positions);
                CHECK_EQ(int(d.computed[size_t(token)]), 1);
                next = token + 1;
            }
            for (uint8_t computed : d.computed) tokens += computed;
            CHECK_EQ(plan.action == Action::PARTIAL, !plan.tokens.empty());
            CHECK(int(plan.tokens.size()) < frames * positions);
            if (!d.computed.empty()) {
                const Action action = tokens == 0                    ? Action::REUSED
                                      : tokens == frames * positions ? Action::WHOLE
                                                                     : Action::PARTIAL;
                CHECK(plan.action == action);
                CHECK(action != Action::PARTIAL || tokens == int(plan.tokens.size()));
            }
            partial += plan.action == Action::PARTIAL;
            CHECK_EQ(driver.policy->wants_motion(0, 0), d.fine);
            if (!d.fine) continue;
            std::vector<float> change;
            for (int t = 0; t < frames * positions; t++) change.push_back(float(random(100)) / 10);
            driver.policy->motion(0, 0, change, random(2));
        }
    }
    CHECK(partial > 100);
}
