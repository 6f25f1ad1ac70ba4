// SPDX-License-Identifier: LGPL-2.1-or-later
#include "tests/check.h"
#include "tools/calibrate/forecast.h"
#include "tools/calibrate/search.h"

using namespace mc;
using namespace mc::calibrate;

namespace {

// Steps that are all alike; half of each frame's tokens stand still.
Recording recording(int steps = 40) {
    Recording r;
    r.chunk_frames = 3, r.frame_tokens = 8;
    r.steps.resize(size_t(steps));
    for (int i = 0; i < steps; i++) {
        r.steps[i].sigma = 1 - double(i) / steps;
        if (i) r.steps[i].distance.assign(3, {0.1, 1.0});
    }
    for (int chunk : {0, 1}) {
        ChunkMotion m{chunk, {}};
        for (int i = 0; i < steps; i++) {
            m.change.emplace_back();
            for (int t = 0; t < 24; t++) m.change.back().push_back(t % 8 < 4 ? 0.0f : float(t % 8) / 7);
        }
        r.chunks.push_back(m);
    }
    return r;
}

cache::MotionCacheSettings settings() {
    cache::MotionCacheSettings s;
    s.warmup = s.coarse_updates = 0;
    s.weight_floor = 0.5;
    s.min_ratio = 0;
    s.threshold = 0.3;
    return s;
}

} // namespace

TEST(forecast_counts_what_the_policy_decides) {
    const Recording r = recording(4);
    cache::MotionCacheSettings s = settings();
    s.threshold = 0.25; // three steps for weight 1 and none for the others, after the first step's 24 tokens
    const Forecast f = forecast(s, r);
    // At step 3 the fastest token of each frame, and those of weight 6/7 and 13/14, have come to 0.25.
    CHECK(f.share > 0.25 && f.share < 0.5);
    CHECK_NEAR(f.partial, 1.0 / 3, 1e-12);
    s.threshold = 1e-6;
    CHECK_NEAR(forecast(s, r).share, 1, 0);
    s.threshold = 1e6;
    CHECK_NEAR(forecast(s, r).share, 0.25, 0);
}

TEST(forecast_along_a_path) {
    const Recording r = recording(40);
    cache::MotionCacheSettings s = settings();
    s.weights = CacheWeights::NONE;
    s.path = {{1, 0}, {0, 1}};
    s.threshold = 0.25; // every tenth step
    CHECK_NEAR(forecast(s, r).share, 0.1, 1e-12);
    s.first_share = 0.1, s.first_frames = 3; // each of the first chunk's
    CHECK_NEAR(forecast(s, r).share, 0.55, 1e-12);
    s.first_frames = 4; // and of the second, which begins before the fourth frame
    CHECK_NEAR(forecast(s, r).share, 1, 1e-12);
    s.first_frames = 3;
    for (double share : {0.52, 0.6, 0.7}) {
        s.threshold = threshold_for(s, r, share);
        CHECK_NEAR(forecast(s, r).share, share, 0.05);
    }
}

TEST(a_higher_threshold_computes_no_more) {
    const Recording r = recording();
    cache::MotionCacheSettings s = settings();
    double before = 2;
    for (s.threshold = 0.01; s.threshold < 10; s.threshold *= 1.5) {
        const double share = forecast(s, r).share;
        CHECK(share <= before + 0.02);
        before = share;
    }
}

TEST(the_threshold_for_a_share_gives_it) {
    const Recording r = recording();
    for (double power : {0.0, 2.0})
        for (double first : {1.0, 0.4})
            for (double share : {0.35, 0.2, 0.12}) {
                cache::MotionCacheSettings s = settings();
                s.noise_power = power, s.first_share = first;
                s.threshold = threshold_for(s, r, share);
                CHECK_NEAR(forecast(s, r).share, share, 0.04);
            }
}

TEST(shares_out_of_reach_give_the_ends) {
    const Recording r = recording(10);
    cache::MotionCacheSettings s = settings();
    s.threshold = threshold_for(s, r, 0.01);
    CHECK_NEAR(forecast(s, r).share, 0.1, 1e-12); // the first step is always computed
    s.threshold = threshold_for(s, r, 1);
    CHECK_NEAR(forecast(s, r).share, 1, 1e-12);
}

TEST(levels_stay_apart_where_the_first_chunk_is_much) {
    const Recording r = recording(40); // the first of two chunks takes half of the work
    Found found;
    found.best.settings = settings();
    found.best.settings.weights = CacheWeights::NONE;
    found.best.settings.path = {{1, 0}, {0, 1}};
    found.best.settings.first_share = 0, found.best.settings.first_frames = 3;
    const double within[] = {0.7, 0.6, 0.3}, beyond[] = {0.5, 0.25, 0.2};
    const std::vector<cache::MotionCacheSettings> near = settings_for_shares(found, r, within);
    for (size_t i : {0, 1}) CHECK_NEAR(forecast(near[i], r).share, within[i], 0.03);
    CHECK_NEAR(forecast(near[2], r).share, 0.5125, 1e-9); // the least: each chunk's first step
    const std::vector<cache::MotionCacheSettings> far = settings_for_shares(found, r, beyond);
    for (size_t i = 0; i < 3; i++) CHECK_NEAR(forecast(far[i], r).share, 0.5125 + 0.4875 * beyond[i], 0.04);
}
