// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// Cache settings that were published for the models of the series, as data (docs/algorithms.md#published-caches).
#include "engine/cache/published.h"
#include "engine/networks/wan_dit/config.h"

namespace mc::model::skyreels_v2 {

using cache::PublishedCache;
using cache::PublishedCaches;

// By what the model is, never by its path (the official code looks for words in it). Null: nothing was
// published for such a model.
const PublishedCaches* published_caches(const TransformerConfig& config);

} // namespace mc::model::skyreels_v2
