// SPDX-License-Identifier: LGPL-2.1-or-later
#include "engine/families/skyreels_v2/cache_choice.h"

#include "engine/error.h"
#include "engine/request/field.h"

namespace mc::skyreels_v2 {

using cache::AnySettings;

[[noreturn]] static void refuse(const std::string& message) {
    throw Error(MC_ERROR_SETTINGS, message);
}

// What the request's own settings change.
static AnySettings known_settings(CacheKind kind, const CacheFields& r,
                                  const model::Calibration* calibration,
                                  const cache::PublishedCaches* published) {
    const CachePreset preset = r.preset.value_or(CachePreset::BALANCED);
    if (kind == CacheKind::MOTIONCACHE && calibration) {
        if (preset == CachePreset::QUALITY) return calibration->quality.settings;
        if (preset == CachePreset::BALANCED) return calibration->balanced.settings;
        if (preset == CachePreset::FAST) return calibration->fast.settings;
    } else if (const auto* known = published ? published->of(kind, preset) : nullptr) {
        return known->settings;
    } else if (kind == CacheKind::MOTIONCACHE && (r.preset ? preset != CachePreset::CUSTOM : !r.threshold)) {
        refuse(
            std::string(
                "Nothing is known about caching with this model: run motioncache-calibrate on its folder, or ") +
            (r.preset ? "set cache-preset=custom and a cache-threshold" : "set cache-threshold") +
            ", or cache=none.");
    }
    AnySettings settings = cache::default_settings(kind);
    if (calibration) settings.set_polynomial(calibration->polynomial);
    return settings;
}

AnySettings choose_cache(const CacheFields& r, Attention attention, const model::Calibration* calibration,
                         const cache::PublishedCaches* published) {
    CacheKind kind = r.kind.value_or(CacheKind::NONE);
    // Without being asked for, a cache runs only where it is known what it does to this model's videos.
    if (!r.kind && attention == Attention::KV &&
        (calibration || published || r.threshold || r.preset == CachePreset::CUSTOM))
        kind = CacheKind::MOTIONCACHE;
    if (kind == CacheKind::NONE) {
        if (const Field* field = cache::foreign_setting(r, kind))
            refuse(std::string(field->name) + " is set but nothing is cached: " +
                   (r.kind ? "drop it, or choose another cache than none."
                    : attention == Attention::KV
                        ? "nothing is known about caching with this model; run "
                          "motioncache-calibrate on its folder, or set cache-threshold."
                        : "set attention=kv for motioncache, or choose a cache."));
        return {};
    }
    if (attention != Attention::KV && !cache::default_settings(kind).decides_rows())
        refuse(std::string("cache=") + name_of(kind) +
               " works chunk by chunk and needs attention=kv (it is " + name_of(attention) +
               "): set attention=kv, or take cache=teacache.");
    cache::refuse_foreign_setting(r, kind);
    if (r.reuse && *r.reuse != CacheReuse::REPEAT && attention != Attention::KV)
        refuse("cache-reuse=taylor and solver follow a chunk's own noise level and need attention=kv.");
    return cache::with_request(known_settings(kind, r, calibration, published), r);
}

} // namespace mc::skyreels_v2
