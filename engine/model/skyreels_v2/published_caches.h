#pragma once
// Cache settings that were published for the models of the series, as data (docs/algorithms.md#published-caches).
#include "engine/cache/settings.h"
#include "engine/model/config.h"

namespace mc::model::skyreels_v2 {

struct PublishedCache {
    enum class Origin {
        PUBLISHED,    // for this model, in all their numbers
        CARRIED_OVER, // numbers of another model or of another cache, with this model's polynomial: nobody
                      // has published what they give
    };
    Origin origin;
    cache::Settings settings;
};

struct PublishedCaches {
    const char* model;
    // TeaCache of the official code, with its default threshold: the distance taken of E0, five rows forced
    // at first and none at the end (retention), or of E, one and one.
    PublishedCache teacache_retention, teacache;
    PublishedCache flowcache_slow, flowcache_fast;
    // slow: the published run. fast: the public code has no settings for the published "fast" run; its
    // threshold here is FlowCache's, on which MotionCache builds, and which does the same work (26 and 27
    // PFLOP in the paper's table).
    PublishedCache motioncache_slow, motioncache_fast;
};

// By what the model is, never by its path (the official code looks for words in it). Null: nothing was
// published for such a model.
const PublishedCaches* published_caches(const TransformerConfig& config);

} // namespace mc::model::skyreels_v2
