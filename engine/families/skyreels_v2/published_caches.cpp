// SPDX-License-Identifier: LGPL-2.1-or-later
#include "engine/families/skyreels_v2/published_caches.h"

namespace mc::model::skyreels_v2 {
namespace {

using cache::Embedding;
using cache::Polynomial;
using Origin = PublishedCache::Origin;

// Of TeaCache, by the embedding of which the distance is taken. FlowCache and MotionCache use that of E0.
struct Polynomials {
    Polynomial e0, e;
};
constexpr Polynomials OF_1_3B{
    {{-5.21862437e+04, 9.23041404e+03, -5.28275948e+02, 1.36987616e+01, -4.99875664e-02}},
    {{2.39676752e+03, -1.31110545e+03, 2.01331979e+02, -8.29855975e+00, 1.37887774e-01}},
};
constexpr Polynomials OF_14B{
    {{-3.03318725e+05, 4.90537029e+04, -2.65530556e+03, 5.87365115e+01, -3.15583525e-01}},
    {{-5784.54975374, 5449.50911966, -1811.16591783, 256.27178429, -13.02252404}},
};

// ret_steps and cutoff_steps of the official code count forwards, two per row: 10 and 2 N, or 2 and 2 N - 2.
// Its reset of the counter amid a video is a fault and is not among these settings.
cache::TeaCacheSettings teacache(const Polynomials& polynomials, bool retention) {
    cache::TeaCacheSettings settings;
    settings.threshold = 0.2;
    settings.polynomial = retention ? polynomials.e0 : polynomials.e;
    settings.embedding = retention ? Embedding::E0 : Embedding::E;
    settings.forced_first = retention ? 5 : 1;
    settings.forced_last = retention ? 0 : 1;
    return settings;
}

cache::FlowCacheSettings flowcache(const Polynomials& polynomials, double threshold) {
    cache::FlowCacheSettings settings;
    settings.threshold = threshold;
    settings.polynomial = polynomials.e0;
    settings.forced_first = 5;
    settings.forced_last = 1;
    return settings;
}

cache::MotionCacheSettings motioncache(const Polynomials& polynomials, double threshold) {
    cache::MotionCacheSettings settings;
    settings.threshold = threshold;
    settings.polynomial = polynomials.e0;
    settings.warmup = 4;
    settings.coarse_updates = 6;
    settings.distance = CacheDistance::GLOBAL;
    settings.weights = CacheWeights::MAX_RESCALE;
    settings.weight_floor = 0.6;
    settings.vote = 0.5;
    settings.min_ratio = 0.4;
    return settings;
}

PublishedCaches caches(const char* model, const Polynomials& polynomials, Origin beyond_teacache) {
    return {model,
            {Origin::PUBLISHED, teacache(polynomials, true)},
            {Origin::PUBLISHED, teacache(polynomials, false)},
            {beyond_teacache, flowcache(polynomials, 0.10)},
            {beyond_teacache, flowcache(polynomials, 0.15)},
            {beyond_teacache, motioncache(polynomials, 0.10)},
            {Origin::CARRIED_OVER, motioncache(polynomials, 0.15)}};
}

bool is(const TransformerConfig& config, int64_t width, int64_t heads, int64_t ffn, int64_t layers,
        bool fps) {
    return config.width == width && config.heads == heads && config.ffn == ffn && config.layers == layers &&
           config.in_channels == 16 && config.fps_embedding == fps;
}

} // namespace

const PublishedCaches* published_caches(const TransformerConfig& config) {
    static const PublishedCaches df_1_3b = caches("SkyReels-V2-DF-1.3B", OF_1_3B, Origin::PUBLISHED);
    // FlowCache and MotionCache were published on 1.3B only; the code of the latter even keeps the polynomial
    // of 1.3B for this model, which must be an oversight.
    static const PublishedCaches df_14b = caches("SkyReels-V2-DF-14B", OF_14B, Origin::CARRIED_OVER);
    if (is(config, 1536, 12, 8960, 30, true)) return &df_1_3b;
    if (is(config, 5120, 40, 13824, 40, false)) return &df_14b;
    return nullptr;
}

} // namespace mc::model::skyreels_v2
