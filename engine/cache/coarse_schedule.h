// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// Distances come from the schedule alone, so what a policy computes is known before the first step as far as it does
// not depend on motion: all of TeaCache and FlowCache, and the coarse phase of MotionCache.
#include <span>
#include <string>
#include <vector>

#include "engine/cache/policy.h"

namespace mc::cache {

struct CoarseSchedule {
    int steps = 0;               // of a chunk
    std::vector<Action> actions; // of the first ones; the others, if any, depend on the motion
};

struct ScheduledStep {
    std::vector<FrameDistance> distance; // of the frames of a chunk, [chunk_frames]; none at step 0
    double sigma = 1;
};
// Of the window's first chunk, or of those behind its first frames, in a video of `video_chunks` chunks. TeaCache
// decides rows: its schedule is that of a window whose chunks step together.
CoarseSchedule coarse_schedule(const AnySettings& settings, std::span<const ScheduledStep> steps,
                               bool first_chunk, int branches = 2, int video_chunks = 1);

// One line: "12 steps: whole 0-2 6, reused 3-5; 7-11 depend on motion".
std::string text_of(const CoarseSchedule& schedule);

} // namespace mc::cache
