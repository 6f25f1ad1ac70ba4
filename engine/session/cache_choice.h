#pragma once
// From what a request says about caching and what is known of the model to the settings of a policy.
#include <optional>

#include "engine/cache/published.h"
#include "engine/cache/settings.h"
#include "engine/model/calibration.h"
#include "engine/model/config.h"

namespace mc::session {

// Settings measured for the model by motioncache-calibrate (motioncache.json), or published for it.
enum class Preset {
    QUALITY,
    BALANCED,
    FAST,
    CUSTOM, // the published run's, to be changed knob by knob
};

// Each unset: auto, or what the preset has.
struct CacheRequest {
    std::optional<cache::Kind> kind; // unset: MotionCache where attention is kv, else none
    std::optional<Preset> preset;    // unset: BALANCED. A knob below changes it
    std::optional<double> threshold, weight_floor, min_ratio, first_share, noise_power;
    std::optional<double> vote; // NO_VOTE: each token for itself
    std::optional<int> warmup, coarse_updates;
    std::optional<cache::Weights> weights;
    std::optional<cache::Distance> distance;
    std::optional<cache::Reuse> reuse;
};
constexpr double NO_VOTE = -2;

// Throws MC_ERROR_SETTINGS: a knob out of its range, one that the chosen cache does not have, a cache that the attention
// cannot serve, a preset for a model of which nothing is known. calibration, published: of the model, or null.
cache::Settings choose_cache(const CacheRequest& request, model::Attention attention,
                             const model::Calibration* calibration,
                             const cache::PublishedCaches* published);

} // namespace mc::session
