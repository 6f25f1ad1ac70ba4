// SPDX-License-Identifier: LGPL-2.1-or-later
#include "engine/session/cache_choice.h"

#include "engine/error.h"
#include "engine/request/field.h"

namespace mc::session {

using cache::FlowCacheSettings;
using cache::Kind;
using cache::MotionCacheSettings;
using cache::Settings;
using cache::TeaCacheSettings;

[[noreturn]] static void refuse(const std::string& message) {
    throw Error(MC_ERROR_SETTINGS, message);
}

// The first setting of the cache that is given, of those that every cache has or of those that MotionCache alone has.
static const char* given_setting(const CacheRequest& r, bool motioncache_alone) {
    Fields values;
    values.cache = r;
    for (const Field& field : fields()) {
        const std::string_view name = field.name;
        const bool common = name == "cache-threshold" || name == "cache-warmup" || name == "cache-reuse";
        if (field.part == Part::CACHE && name != "cache" && !(common && motioncache_alone) &&
            is_set(field, values))
            return field.name;
    }
    return nullptr;
}

static MotionCacheSettings motioncache_preset(const CacheRequest& r, const model::Calibration* calibration,
                                   const cache::PublishedCaches* published) {
    const Preset preset = r.preset.value_or(Preset::BALANCED);
    if (calibration) {
        if (preset == Preset::QUALITY) return calibration->quality.settings;
        if (preset == Preset::BALANCED) return calibration->balanced.settings;
        if (preset == Preset::FAST) return calibration->fast.settings;
    } else if (published) {
        // The published slow run lies between what a calibration calls quality and balanced.
        return std::get<MotionCacheSettings>(
            (preset == Preset::FAST ? published->motioncache_fast : published->motioncache_slow).settings.policy);
    } else if (r.preset ? preset != Preset::CUSTOM : !r.threshold) {
        refuse(
            std::string(
                "Nothing is known about caching with this model: run motioncache-calibrate on its folder, or ") +
            (r.preset ? "set cache-preset=custom and a cache-threshold" : "set cache-threshold") +
            ", or cache=none.");
    }
    MotionCacheSettings custom;
    if (calibration) custom.polynomial = calibration->polynomial;
    return custom;
}

static MotionCacheSettings motioncache(const CacheRequest& r, const model::Calibration* calibration,
                                       const cache::PublishedCaches* published) {
    MotionCacheSettings s = motioncache_preset(r, calibration, published);
    if (r.warmup) s.warmup = *r.warmup;
    if (r.coarse_updates) s.coarse_updates = *r.coarse_updates;
    if (r.weights) s.weights = *r.weights;
    if (r.weight_floor) s.weight_floor = *r.weight_floor;
    if (r.distance) s.distance = *r.distance;
    if (r.vote) s.vote = *r.vote == NO_VOTE ? std::nullopt : r.vote;
    if (r.min_ratio) s.min_ratio = *r.min_ratio;
    if (r.first_share) s.first_share = *r.first_share;
    if (r.noise_power) s.noise_power = *r.noise_power;
    if (s.weights != cache::Weights::MAX_RESCALE && r.weight_floor)
        refuse(
            "cache-weight-floor is the least weight of cache-weights=max-rescale and means nothing with another: drop "
            "one of them.");
    return s;
}

// TeaCache or FlowCache as it was published for the model, else with the model's polynomial and a usual threshold.
template <class S>
static S whole_chunk_cache(const CacheRequest& r, const model::Calibration* calibration,
                           const cache::PublishedCache* published, double usual_threshold) {
    S s;
    s.threshold = usual_threshold;
    if (calibration) s.polynomial = calibration->polynomial;
    if (published) s = std::get<S>(published->settings.policy);
    if (r.warmup) s.forced_first = *r.warmup;
    return s;
}

// What every cache has.
template <class S>
static Settings checked(S s, const CacheRequest& r) {
    if (r.threshold) s.threshold = *r.threshold;
    if (r.reuse) s.reuse = *r.reuse;
    check(s);
    return s;
}

Settings choose_cache(const CacheRequest& r, Attention attention, const model::Calibration* calibration,
                      const cache::PublishedCaches* published) {
    Kind kind = r.kind.value_or(Kind::NONE);
    // Without being asked for, a cache runs only where it is known what it does to this model's videos.
    if (!r.kind && attention == Attention::KV &&
        (calibration || published || r.threshold || r.preset == Preset::CUSTOM))
        kind = Kind::MOTIONCACHE;
    if (kind == Kind::NONE) {
        if (const char* name = given_setting(r, false))
            refuse(std::string(name) + " is set but nothing is cached: " +
                   (r.kind ? "drop it, or choose another cache than none."
                    : attention == Attention::KV
                        ? "nothing is known about caching with this model; run "
                          "motioncache-calibrate on its folder, or set cache-threshold."
                        : "set attention=kv for motioncache, or choose a cache."));
        return {};
    }
    if (attention != Attention::KV && kind != Kind::TEACACHE)
        refuse(std::string("cache=") + name_of(kind) +
               " works chunk by chunk and needs attention=kv (it is " + name_of(attention) +
               "): set attention=kv, or take cache=teacache.");
    if (const char* name = given_setting(r, true); name && kind != Kind::MOTIONCACHE)
        refuse(std::string(name) + " belongs to cache=motioncache, not to cache=" + name_of(kind) +
               ": drop it.");
    if (r.reuse && *r.reuse != cache::Reuse::REPEAT && attention != Attention::KV)
        refuse("cache-reuse=taylor and solver follow a chunk's own noise level and need attention=kv.");

    switch (kind) {
    case Kind::NONE:
        break;
    case Kind::TEACACHE:
        return checked(whole_chunk_cache<TeaCacheSettings>(
                           r, calibration, published ? &published->teacache_retention : nullptr, 0.2), r);
    case Kind::FLOWCACHE:
        return checked(whole_chunk_cache<FlowCacheSettings>(
                           r, calibration, published ? &published->flowcache_slow : nullptr, 0.1), r);
    case Kind::MOTIONCACHE:
        return checked(motioncache(r, calibration, published), r);
    }
    throw Error(MC_ERROR_INTERNAL, "A cache of an unknown kind was asked for; please report this.");
}

} // namespace mc::session
