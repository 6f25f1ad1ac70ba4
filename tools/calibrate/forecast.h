// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// What a policy will compute, without running the model: distances are known from the schedule, and how
// tokens move was recorded once from a run that computed everything. So a threshold is found in a moment, not
// in a dozen videos.
#include <vector>

#include "engine/cache/coarse_schedule.h"
#include "engine/cache/settings.h"

namespace mc::calibrate {

// Of one chunk of one video, with the prompt.
struct ChunkMotion {
    int chunk = 0;                          // among those that its window generates
    std::vector<std::vector<float>> change; // [step][token]: 0 for the stillest token of its frame, 1 for the
                                            // fastest; empty: unknown
};
struct Recording {
    std::vector<cache::ScheduledStep> steps; // of every chunk
    int chunk_frames = 0, frame_tokens = 0;
    std::vector<ChunkMotion> chunks;
};

struct Forecast {
    double share = 1;   // of the tokens that are computed
    double partial = 0; // share of the turns after warm-up that compute some tokens and not all
};
Forecast forecast(const cache::MotionCacheSettings& settings, const Recording& recording);
// The threshold, above 0, at which the computed share is nearest to `share`.
double threshold_for(cache::MotionCacheSettings settings, const Recording& recording, double share);

} // namespace mc::calibrate
