// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// The knobs of the cache policies. Formulas: docs/algorithms.md#caches.
#include <array>
#include <optional>

#include "engine/cache/path.h"
#include "engine/cache/plan.h"

namespace mc::cache {

using Kind = CacheKind;

// Highest power first. Rescales a relative distance of time embeddings to an estimate of the output's change.
struct Polynomial {
    std::array<double, 5> coefficients{0, 0, 0, 1, 0}; // the distance itself
    double operator()(double x) const {
        double sum = 0;
        for (double c : coefficients) sum = sum * x + c;
        return sum;
    }
    bool operator==(const Polynomial&) const = default;
};

// Of the time embedding, what a distance is taken of: E, one vector a timestep, or E0, its projection to the
// six modulation vectors, with the fps term. MotionCache and FlowCache were published with E0.
enum class Embedding { E, E0 };

using Weights = CacheWeights;
using Distance = CacheDistance;

struct Settings {
    Kind kind = Kind::NONE;
    Reuse reuse = Reuse::REPEAT;
    double threshold = 0.1; // accumulated distance at which to compute again; finite, > 0
    Polynomial polynomial;  // finite coefficients

    // MotionCache. Defaults: the published run.
    int warmup = 4;         // evaluations of a chunk that are computed wholly at first, and one more; >= 0
    int coarse_updates = 6; // recomputations with weight 1 after which motion weights begin; >= 0
    Weights weights = Weights::MAX_RESCALE; // NONE: weight 1 to the end
    double weight_floor = 0.6;              // of MAX_RESCALE: weight of a token that does not move; 0..1
    Distance distance = Distance::GLOBAL;
    // A position is due in all frames of a chunk when more than this share of them wants it: 0..1, so at 1
    // never. Unset: each token for itself.
    std::optional<double> vote = 0.5;
    double min_ratio = 0.4; // a smaller share of due tokens is put off, their sums kept; 0..1
    // Ours, switched off by default. The first frames that a window generates follow none, or given ones only: their
    // errors are what all after them build on. The threshold of the chunk that begins with the first of them is this share of
    // the others'; above 0 up to 1. It rises to 1 in equal factors up to the chunk that begins with frame `first_frames`.
    double first_share = 1;
    int first_frames = 1; // latent frames; >= 1
    // Ours, switched off by default (0). The threshold holds for videos of up to so many chunks. More chunks, in a window or
    // in several, hand errors on more often; if these are independent they grow with the root of their number, so the
    // threshold shrinks with it.
    int chunks = 0;
    // Ours, switched off by default. What a reused velocity v does to the predicted picture x - sigma v shrinks with the
    // noise: each distance counts sigma to this power; 0..8.
    double noise_power = 0;
    // Ours, none by default. Where there is one, distances are lengths of this path instead of what the polynomial makes of
    // time embeddings, and a token is due when its sum would reach beyond the threshold with the step that follows: no
    // gap is longer than the threshold, however long the steps are.
    Path path;

    // TeaCache and FlowCache.
    Embedding embedding = Embedding::E0;
    // Evaluations that are computed whatever the distance, at the beginning and at the end: rows of the
    // window (TeaCache), evaluations of the chunk (FlowCache); >= 0. The first evaluation of a chunk always
    // is.
    int forced_first = 5, forced_last = 1;
    // TeaCache as the official code has it: its count of forwards, both branches counted, falls back to 0
    // every so many, so that the forced first ones come again and the forced last ones never. 0: it does not.
    // From the official numbers, which count forwards, with guidance (two a row):
    //     forced_first = ret_steps / 2, forced_last = rows - cutoff_steps / 2, counter_period = num_steps
    int counter_period = 0;

    bool operator==(const Settings&) const = default;
};

// Throws MC_ERROR_SETTINGS for the first value out of its range, whether its policy is the chosen one or not.
void check(const Settings& settings);

} // namespace mc::cache
