// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// The settings of MotionCache in its form by steps, as it was published for MAGI-1: a chunk is computed as a whole at
// first, then decided about as a whole for a number of steps, then token by token
// (docs/algorithms.md#motioncache-by-steps).
#include <memory>
#include <optional>

#include "engine/cache/common_settings.h"
#include "engine/cache/motioncache.h"

namespace mc::cache {

class Policy;

// Defaults: the published run.
struct MotionCacheByStepsSettings : CommonSettings {
    static constexpr CacheKind KIND = CacheKind::MOTIONCACHE;
    MotionCacheByStepsSettings() { threshold = 0.0065; } // of the sum of a whole chunk

    double token_threshold = 0.0065; // of the sum of a token; finite, > 0
    int warmup = 5;                  // steps of a chunk that are computed as a whole at first; >= 0
    int coarse_steps = 20;           // steps after them in which the chunk is decided about as a whole; >= 0
    double weight_floor = 0.6;       // of a token that does not move; 0..1
    double weight_power = 1;         // of motion, before the floor; > 0
    // GLOBAL: one distance for the whole chunk; TOKEN: one for each token.
    CacheDistance distance = CacheDistance::GLOBAL;
    // A position that more than this share of a chunk's frames wants is computed in all of them; others stay as they
    // are. Unset: each token for itself.
    std::optional<double> vote;
    // The largest share of a chunk's tokens that is reused in a step: those with the smallest sums. Unset first_reuse:
    // in every step; else it goes from first_reuse in the first step decided by token to max_reuse in the last. 0..1
    double max_reuse = 1;
    std::optional<double> first_reuse;
    // Weights from the first step of a chunk alone, else from each.
    bool weights_once = false;
    // Whether all chunks are computed in a row in which one starts, and all sums begin anew.
    bool whole_when_chunk_starts = false;

    // Faults of the published code, for its golden cases: in the last row of a video what was decided in the row before
    // holds instead of everything being computed; the share reused goes by the rows of the video instead of the steps
    // of a chunk, and never arrives.
    bool stale_in_last_row = false, share_by_rows = false;

    bool operator==(const MotionCacheByStepsSettings&) const = default;
};

void read(const CacheFields& request, MotionCacheByStepsSettings& settings); // sets what the request says
// Throws MC_ERROR_SETTINGS for the first value out of its range.
void check(const MotionCacheByStepsSettings& settings);
std::unique_ptr<Policy> make(const MotionCacheByStepsSettings& settings);

} // namespace mc::cache
