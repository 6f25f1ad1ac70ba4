// SPDX-License-Identifier: LGPL-2.1-or-later
#include "engine/cache/coarse_schedule.h"
#include "tests/cache/driver.h"
#include "tests/check.h"

using namespace mc;
using namespace mc::test;

namespace {

std::vector<ScheduledStep> every(double distance, int steps, int frames = 3) {
    std::vector<ScheduledStep> list(1);
    while (int(list.size()) < steps) list.push_back({moved(distance, frames), 1});
    return list;
}

std::string text(const AnySettings& settings, const std::vector<ScheduledStep>& steps,
                 bool first_chunk = true) {
    return text_of(coarse_schedule(settings, steps, first_chunk));
}

template <class S>
S of(double threshold) {
    S settings;
    settings.threshold = threshold;
    return settings;
}

} // namespace

TEST(coarse_schedule_ends_where_motion_begins) {
    MotionCacheSettings settings = of<MotionCacheSettings>(0.5);
    settings.warmup = 2;
    settings.coarse_updates = 2;
    CHECK_EQ(text(settings, every(0.25, 12)), "12 steps: whole 0-2 4 6, reused 3 5; 7-11 depend on motion");
    CHECK_EQ(text(settings, every(0.25, 8)), "8 steps: whole 0-2 4 6, reused 3 5; 7 depends on motion");
    CHECK_EQ(text(settings, every(0.25, 7)), "7 steps: whole 0-2 4 6, reused 3 5");
    settings.coarse_updates = 0;
    CHECK_EQ(text(settings, every(0.25, 12)), "12 steps: whole 0-2; 3-11 depend on motion");
    settings.weights = CacheWeights::NONE;
    CHECK_EQ(text(settings, every(0.25, 9)), "9 steps: whole 0-2 4 6 8, reused 3 5 7");
    settings.warmup = 99;
    CHECK_EQ(text(settings, every(0.25, 9)), "9 steps: whole 0-8");
}

TEST(coarse_schedule_of_the_first_chunk_and_of_late_steps) {
    MotionCacheSettings settings = of<MotionCacheSettings>(0.5);
    settings.warmup = 0;
    settings.coarse_updates = 99;
    CHECK_EQ(text(settings, every(0.25, 8)), text(settings, every(0.25, 8), false));
    settings.first_share = 0.5;
    CHECK_EQ(text(settings, every(0.25, 8)), "8 steps: whole 0-7");
    CHECK_EQ(text(settings, every(0.25, 8), false), "8 steps: whole 0 2 4 6, reused 1 3 5 7");
    settings.noise_power = 2;
    std::vector<ScheduledStep> steps = every(0.25, 11);
    for (size_t i = 3; i < steps.size(); i++) steps[i].sigma = 0.5; // each distance counts a quarter
    CHECK_EQ(text(settings, steps, false), "11 steps: whole 0 2 10, reused 1 3-9");
}

TEST(coarse_schedule_of_frames_on_their_own) {
    MotionCacheSettings settings = of<MotionCacheSettings>(0.5);
    settings.warmup = 0;
    settings.coarse_updates = 9;
    settings.distance = CacheDistance::TOKEN;
    settings.vote.reset();
    settings.min_ratio = 0.4;
    std::vector<ScheduledStep> steps(1);
    steps.push_back({{{0.6, 1}, {0.6, 1}, {0.1, 1}}}); // two of three frames
    steps.push_back({{{0.1, 1}, {0.1, 1}, {0.6, 1}}}); // one of three: put off
    steps.push_back({{{0.6, 1}, {0.6, 1}, {0.0, 1}}});
    const CoarseSchedule schedule = coarse_schedule(settings, steps, true);
    CHECK(schedule.actions ==
          (std::vector<Action>{Action::WHOLE, Action::PARTIAL, Action::REUSED, Action::WHOLE}));
    CHECK_EQ(text_of(schedule), "4 steps: whole 0 3, partial 1, reused 2");
}

TEST(coarse_schedule_of_the_other_policies) {
    CHECK_EQ(text({}, every(0.25, 5)), "5 steps: whole 0-4");
    CHECK_EQ(text(of<FlowCacheSettings>(0.5), every(0.25, 9)), "9 steps: whole 0-4 6 8, reused 5 7");
    CHECK_EQ(text(of<TeaCacheSettings>(0.5), every(0.25, 9)), "9 steps: whole 0-4 6 8, reused 5 7");
    CHECK_EQ(text(of<TeaCacheSettings>(0.5), every(0.25, 1)), "1 step: whole 0");
    CHECK_EQ(text(of<TeaCacheSettings>(0.5), {}), "0 steps:");
}
