// SPDX-License-Identifier: LGPL-2.1-or-later
#include "engine/families/magi1/published_caches.h"

#include <string>

#include "engine/error.h"
#include "engine/request/field.h"

namespace mc::magi1 {

namespace {

[[noreturn]] void refuse(const std::string& message) {
    throw Error(MC_ERROR_SETTINGS, message);
}

cache::AnySettings published(CacheKind kind) {
    switch (kind) {
    case CacheKind::TEACACHE:
        return published_teacache();
    case CacheKind::FLOWCACHE:
        return published_flowcache();
    case CacheKind::MOTIONCACHE:
        return published_motioncache();
    default:
        return cache::default_settings(kind);
    }
}

} // namespace

cache::MotionCacheByStepsSettings published_motioncache() {
    return {};
}

cache::FlowCacheSettings published_flowcache() {
    cache::FlowCacheSettings s;
    s.threshold = 0.01;
    s.forced_first = 5;
    s.forced_last = 0;
    s.whole_ends = true;
    return s;
}

cache::TeaCacheSettings published_teacache() {
    cache::TeaCacheSettings s;
    s.threshold = 0.01;
    s.forced_first = 5;
    s.forced_last = 1;
    return s;
}

cache::AnySettings choose_cache(const CacheFields& r, int branches, bool unasked) {
    const CacheKind kind =
        r.kind.value_or(unasked && branches == 1 ? CacheKind::MOTIONCACHE : CacheKind::NONE);
    if (kind == CacheKind::NONE) {
        if (const Field* field = cache::foreign_setting(r, kind))
            refuse(std::string(field->name) + " is set but nothing is cached: " +
                   (r.kind ? "drop it, or choose another cache than none." : "choose a cache, or drop it."));
        return {};
    }
    if (branches > 1)
        refuse(std::string("cache=") + name_of(kind) +
               " is for a distilled MAGI-1, which computes one branch: this model computes " +
               std::to_string(branches) + ", so set cache=none, or take its distilled weights.");
    cache::refuse_foreign_setting(r, kind);
    if (r.preset && *r.preset != CachePreset::BALANCED && *r.preset != CachePreset::CUSTOM)
        refuse(
            std::string("cache-preset=") + name_of(*r.preset) +
            " is not known for MAGI-1, of which one run was published: take cache-preset=balanced, which is that one, or "
            "set cache-threshold, higher for more speed.");
    return cache::with_request(published(kind), r);
}

} // namespace mc::magi1
