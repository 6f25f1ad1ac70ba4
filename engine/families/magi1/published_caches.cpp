// SPDX-License-Identifier: LGPL-2.1-or-later
#include "engine/families/magi1/published_caches.h"

#include <string>
#include <string_view>

#include "engine/error.h"
#include "engine/request/field.h"

namespace mc::magi1 {

namespace {

constexpr double NO_VOTE = -2; // of cache-vote: each token for itself

[[noreturn]] void refuse(const std::string& message) {
    throw Error(MC_ERROR_SETTINGS, message);
}

// The first setting of a cache that is given and is not among those that every cache has.
const char* given_setting(const CacheFields& request, bool common_too) {
    Fields values;
    values.cache = request;
    for (const Field& field : fields()) {
        const std::string_view name = field.name;
        const bool common = name == "cache-threshold" || name == "cache-warmup" || name == "cache-reuse";
        if (field.part == Part::CACHE && name != "cache" && (common_too || !common) && is_set(field, values))
            return field.name;
    }
    return nullptr;
}

cache::MotionCacheByStepsSettings motioncache(const CacheFields& r) {
    if (r.preset && *r.preset != CachePreset::BALANCED && *r.preset != CachePreset::CUSTOM)
        refuse(std::string("cache-preset=") + name_of(*r.preset) +
               " is not known for MAGI-1, of which one run was published: take cache-preset=balanced, which is that one, or "
               "set cache-threshold, higher for more speed.");
    cache::MotionCacheByStepsSettings s = published_motioncache();
    if (r.threshold) s.token_threshold = *r.threshold;
    if (r.warmup) s.warmup = *r.warmup;
    if (r.weight_floor) s.weight_floor = *r.weight_floor;
    if (r.distance) s.distance = *r.distance;
    if (r.vote) s.vote = *r.vote == NO_VOTE ? std::nullopt : r.vote;
    return s;
}

// What every cache has.
template <class S>
cache::Settings checked(S s, const CacheFields& r) {
    if (r.threshold) s.threshold = *r.threshold;
    if (r.reuse) s.reuse = *r.reuse;
    check(s);
    return s;
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

cache::Settings choose_cache(const CacheFields& r, int branches, bool published) {
    using cache::Kind;
    const Kind kind = r.kind.value_or(published && branches == 1 ? Kind::MOTIONCACHE : Kind::NONE);
    if (kind == Kind::NONE) {
        if (const char* name = given_setting(r, true))
            refuse(std::string(name) + " is set but nothing is cached: " +
                   (r.kind ? "drop it, or choose another cache than none." : "choose a cache, or drop it."));
        return {};
    }
    if (branches > 1)
        refuse(std::string("cache=") + name_of(kind) + " is for a distilled MAGI-1, which computes one branch: this model is "
               "guided by " + std::to_string(branches) + ", so set cache=none, or take its distilled weights.");
    if (const char* name = given_setting(r, false); name && kind != Kind::MOTIONCACHE)
        refuse(std::string(name) + " belongs to cache=motioncache, not to cache=" + name_of(kind) + ": drop it.");
    switch (kind) {
    case Kind::NONE:
        break;
    case Kind::TEACACHE: {
        cache::TeaCacheSettings s = published_teacache();
        if (r.warmup) s.forced_first = *r.warmup;
        return checked(s, r);
    }
    case Kind::FLOWCACHE: {
        cache::FlowCacheSettings s = published_flowcache();
        if (r.warmup) s.forced_first = *r.warmup;
        return checked(s, r);
    }
    case Kind::MOTIONCACHE:
        return checked(motioncache(r), r);
    }
    throw Error(MC_ERROR_INTERNAL, "A cache of an unknown kind was asked for; please report this.");
}

} // namespace mc::magi1
