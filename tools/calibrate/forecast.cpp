// SPDX-License-Identifier: LGPL-2.1-or-later
#include "tools/calibrate/forecast.h"

#include <algorithm>
#include <cmath>

#include "engine/cache/policy.h"
#include "engine/cache/relative_distance.h"

namespace mc::calibrate {

Forecast forecast(const cache::MotionCacheSettings& settings, const Recording& r) {
    const std::unique_ptr<cache::Policy> policy = cache::make_policy(settings);
    bool warm = false;
    policy->observe([&](const cache::Decision& d) {
        warm = d.kind == cache::Decision::Kind::WARMUP || d.kind == cache::Decision::Kind::FIRST_AFTER_WARMUP;
    });
    const int steps = int(r.steps.size()), tokens = r.chunk_frames * r.frame_tokens;
    int64_t computed = 0, turns = 0, turns_after_warmup = 0, partial = 0;
    for (const ChunkMotion& motion : r.chunks) {
        const int chunk = motion.chunk;
        policy->begin_window({chunk + 1, r.chunk_frames, r.frame_tokens, 1, steps, steps});
        for (int step = 0; step < steps; step++) {
            const cache::ChunkStep at{chunk, step, r.steps[size_t(step)].distance,
                                      r.steps[size_t(step)].sigma,
                                      step + 1 < steps ? r.steps[size_t(step) + 1].sigma : 0};
            const cache::Plan plan = policy->decide(step, 0, {&at, 1}).front();
            computed += plan.action == cache::Action::WHOLE     ? tokens
                        : plan.action == cache::Action::PARTIAL ? int64_t(plan.tokens.size())
                                                                : 0;
            turns++;
            turns_after_warmup += !warm;
            partial += plan.action == cache::Action::PARTIAL;
            // The solver's rule leaves a reused chunk alone, so its motion stays as it was last seen.
            const bool seen = settings.reuse != CacheReuse::SOLVER || plan.action != cache::Action::REUSED;
            const bool known = size_t(step) < motion.change.size() && !motion.change[size_t(step)].empty();
            if (seen && known && policy->wants_motion(0, chunk))
                policy->motion(0, chunk, motion.change[size_t(step)], true);
        }
    }
    Forecast f;
    if (turns) f.share = double(computed) / double(turns * tokens);
    if (turns_after_warmup) f.partial = double(partial) / double(turns_after_warmup);
    return f;
}

double threshold_for(cache::MotionCacheSettings settings, const Recording& recording, double share) {
    // Above the whole way's distance nothing is computed after warm-up; far below a step's everything is.
    double high = settings.path.empty() ? 0 : 1; // a path's length
    for (const cache::ScheduledStep& step : recording.steps) {
        if (step.distance.empty() || !settings.path.empty()) continue;
        cache::RelativeDistance moved;
        moved.add(step.distance);
        high += std::max(0.0,
                         std::pow(step.sigma, settings.noise_power) * settings.polynomial(moved.value(1e-8)));
    }
    // A first chunk that is always computed has no threshold.
    high = std::max(high * 1.01 / (settings.first_share > 0 ? settings.first_share : 1), 1e-6);
    double low = high * 1e-5;
    for (int i = 0; i < 30; i++) {
        settings.threshold = std::sqrt(low * high);
        (forecast(settings, recording).share > share ? low : high) = settings.threshold;
    }
    // The share goes in steps where tokens are due together: the nearer side of the last one.
    settings.threshold = low;
    const double above = forecast(settings, recording).share;
    settings.threshold = high;
    const double below = forecast(settings, recording).share;
    return above - share < share - below ? low : high;
}

} // namespace mc::calibrate
