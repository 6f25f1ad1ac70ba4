// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// Cache settings that were published for a model: a type, the numbers are a family's
// (docs/algorithms.md#published-caches).
#include "engine/cache/settings.h"

namespace mc::cache {

struct PublishedCache {
    enum class Origin {
        PUBLISHED,    // for this model, in all their numbers
        CARRIED_OVER, // numbers of another model or of another cache, with this model's polynomial: what
                      // they give has not been published
    };
    Origin origin;
    AnySettings settings;
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

    // Those that a request gets; null: nothing was published for this cache. The published slow run of MotionCache lies
    // between what a calibration calls quality and balanced.
    const PublishedCache* of(CacheKind kind, CachePreset preset) const {
        switch (kind) {
        case CacheKind::TEACACHE:
            return &teacache_retention;
        case CacheKind::FLOWCACHE:
            return &flowcache_slow;
        case CacheKind::MOTIONCACHE:
            return preset == CachePreset::FAST ? &motioncache_fast : &motioncache_slow;
        default:
            return nullptr;
        }
    }
};

} // namespace mc::cache
