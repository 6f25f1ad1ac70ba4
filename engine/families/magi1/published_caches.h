// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// Cache settings that were published for MAGI-1, as data, and what a request makes of them
// (docs/algorithms.md#magi-caches). Plain numbers.
#include "engine/cache/settings.h"
#include "engine/request/fields.h"

namespace mc::magi1 {

// MotionCache in its form by steps, decisions as described and not as coded; published with 64 steps.
cache::MotionCacheByStepsSettings published_motioncache();
// FlowCache of a whole video.
cache::FlowCacheSettings published_flowcache();
// TeaCache with a chunk that starts computed by itself.
cache::TeaCacheSettings published_teacache();

// The cache of a request. branches: of the guidance; all caches were made for one. unasked: whether one runs without
// being asked for, as it should where steps and model are those of a published run.
// Throws MC_ERROR_SETTINGS for what cannot be.
cache::AnySettings choose_cache(const CacheFields& request, int branches, bool unasked);

} // namespace mc::magi1
