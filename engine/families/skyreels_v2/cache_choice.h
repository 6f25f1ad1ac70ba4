// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// From what a request says about caching and what is known of a SkyReels-V2 model to the settings of a policy.
#include <optional>

#include "engine/cache/published.h"
#include "engine/cache/settings.h"
#include "engine/model/calibration.h"
#include "engine/request/fields.h"

namespace mc::skyreels_v2 {

// Throws MC_ERROR_SETTINGS: a setting out of its range, one that the chosen cache does not have, a cache that the
// attention cannot serve, a preset for a model of which nothing is known.
// calibration, published: of the model, or null.
cache::AnySettings choose_cache(const CacheFields& request, Attention attention,
                                const model::Calibration* calibration,
                                const cache::PublishedCaches* published);

} // namespace mc::skyreels_v2
