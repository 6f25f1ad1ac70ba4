#pragma once
// The knobs of the cache policies. Formulas: caching.md and skyreels_v2.md 6.3, 6.4 of the specification.
#include <array>
#include <optional>

#include "engine/cache/plan.h"

namespace mc::cache {

enum class Kind { NONE, TEACACHE, FLOWCACHE, MOTIONCACHE };

// Highest power first. Rescales a relative distance of time embeddings to an estimate of the output's change.
struct Polynomial {
    std::array<double, 5> coefficients{0, 0, 0, 1, 0}; // the distance itself
    double operator()(double x) const {
        double sum = 0;
        for (double c : coefficients) sum = sum * x + c;
        return sum;
    }
};

// Of the time embedding, what a distance is taken of: E, one vector a timestep, or E0, its projection to the six
// modulation vectors, with the fps term.
enum class Embedding { E, E0 };

enum class Weights { NONE, MEAN, MAX, MAX_RESCALE }; // how motion becomes a token's share of the distance
enum class Distance { GLOBAL, TOKEN };               // one for the chunk, or one for each token's latent frame

struct Settings {
    Kind kind = Kind::NONE;
    Reuse reuse = Reuse::REPEAT;
    double threshold = 0.1; // accumulated distance at which to compute again; > 0
    Polynomial polynomial;

    // MotionCache. Defaults: the published run.
    int warmup = 4;          // evaluations of a chunk that are computed wholly at first, and one more; >= 0
    int coarse_updates = 6;  // recomputations with weight 1 after which motion weights begin; >= 0
    Weights weights = Weights::MAX_RESCALE;
    double weight_floor = 0.6; // of MAX_RESCALE: weight of a token that does not move; 0..1
    Distance distance = Distance::GLOBAL;
    std::optional<double> vote = 0.5; // a position is due in all frames of a chunk when more than this share wants it; unset: each token for itself
    double min_ratio = 0.4;           // a smaller share of due tokens is put off, their sums kept; 0..1

    // TeaCache and FlowCache.
    Embedding embedding = Embedding::E0;
    int forced_first = 5; // evaluations computed at first: rows (TeaCache), evaluations of the chunk (FlowCache)
    int forced_last = 1;  // and at the end
    // TeaCache as the official code has it: its count of forwards, both branches counted, falls back to 0 every so
    // many, and the forced first ones come again. 0: never.
    int counter_period = 0;
};

} // namespace mc::cache
