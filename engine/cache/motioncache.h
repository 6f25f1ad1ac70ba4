// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// The settings of MotionCache. Formulas: docs/algorithms.md#motioncache.
#include <memory>
#include <optional>

#include "engine/cache/common_settings.h"
#include "engine/cache/path.h"

namespace mc::cache {

class Policy;

constexpr double NO_VOTE = -2; // of cache-vote: each token for itself
inline std::optional<double> vote_of(double cache_vote) {
    return cache_vote == NO_VOTE ? std::nullopt : std::optional(cache_vote);
}

// Defaults: the published run.
struct MotionCacheSettings : CommonSettings {
    static constexpr CacheKind KIND = CacheKind::MOTIONCACHE;

    int warmup = 4; // evaluations of a chunk that are computed as a whole at first, and one more; >= 0
    int coarse_updates = 6; // recomputations with weight 1 after which motion weights begin; >= 0
    CacheWeights weights = CacheWeights::MAX_RESCALE; // NONE: weight 1 to the end
    double weight_floor = 0.6;              // of MAX_RESCALE: weight of a token that does not move; 0..1
    CacheDistance distance = CacheDistance::GLOBAL;
    // A position is due in all frames of a chunk when it is due in more than this share of them: 0..1, so at 1
    // never. Unset: each token for itself.
    std::optional<double> vote = 0.5;
    double min_ratio = 0.4; // a smaller share of due tokens is deferred, their sums kept; 0..1
    // Ours, switched off by default. The first frames that a window generates follow none, or given ones only: their
    // errors are what all after them build on. The threshold of chunks that begin before frame `first_frames` of them
    // is this share of the others', 0..1; at 0 they are computed as a whole, however short the steps are.
    double first_share = 1;
    int first_frames = 1; // latent frames; >= 1
    // Ours, switched off by default (0). The threshold holds for videos of up to this many chunks. More chunks, in a
    // window or in several, pass errors on more often; if these are independent they grow with the square root of their
    // number, so the threshold shrinks with it.
    int chunks = 0;
    // Ours, switched off by default. What a reused velocity v does to the predicted picture x - sigma v shrinks with
    // the noise: each distance counts sigma to this power; 0..8.
    double noise_power = 0;
    // Ours, none by default. Where there is one, distances are lengths of this path instead of what the polynomial
    // makes of time embeddings, and a token is due when its sum would reach beyond the threshold with the step that
    // follows: no gap is longer than the threshold, however long the steps are.
    Path path;

    bool operator==(const MotionCacheSettings&) const = default;
};

// Sets what the request says. Throws MC_ERROR_SETTINGS for settings that contradict each other.
void read(const CacheFields& request, MotionCacheSettings& settings);
// Throws MC_ERROR_SETTINGS for the first value out of its range.
void check(const MotionCacheSettings& settings);
std::unique_ptr<Policy> make(const MotionCacheSettings& settings);

} // namespace mc::cache
