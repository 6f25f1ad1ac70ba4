// SPDX-License-Identifier: LGPL-2.1-or-later
// The phases of a chunk, by hand; recorded decisions are replayed in test_replay_magi1.cpp.
#include "tests/cache/driver.h"
#include "tests/check.h"

using namespace mc::test;

namespace {

// One chunk of two frames of two tokens, eight steps, in a window that goes on behind it.
constexpr WindowShape SHAPE{2, 2, 2, 1, 8, 12};

MotionCacheByStepsSettings settings() {
    MotionCacheByStepsSettings s;
    s.threshold = s.token_threshold = 0.25;
    s.warmup = 2, s.coarse_steps = 3;
    s.weight_floor = 0.5;
    return s;
}

} // namespace

TEST(a_chunk_is_decided_about_as_a_whole_then_token_by_token) {
    Driver driver(settings(), SHAPE);
    // The second token of each frame moves, the first does not: weights 1 and 0.5. Sums of the chunk: 0.13, 0.26; of
    // the tokens: 0.065 and 0.13, 0.13 and 0.26, 0.195 and 0.13.
    for (int i = 0; i < 8; i++) {
        driver.step(0.13);
        driver.policy->motion(0, 0, std::vector<float>{0, 1, 0, 1}, true);
    }
    CHECK_EQ(driver.kinds(), "Ww.W..p.");
    CHECK_EQ(joined(driver.plans[6].tokens), "1 3");
}

TEST(one_threshold_of_a_request_is_that_of_chunks_and_of_tokens) {
    mc::CacheFields request;
    request.threshold = 0.5;
    request.vote = NO_VOTE;
    MotionCacheByStepsSettings given = settings(), expected = settings();
    given.vote = 0.5;
    expected.threshold = expected.token_threshold = 0.5;
    CHECK(with_request(given, request) == expected);
}
