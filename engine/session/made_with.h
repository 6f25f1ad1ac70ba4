// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// What the chunks of a video are made with, for families whose cache changes while they are made.
#include "engine/cache/settings.h"
#include "engine/request/changes.h"

namespace mc::session {

inline void set_cache(MadeWith& made_with, const CacheFields& asked, const cache::AnySettings& settings) {
    made_with.cache_asked = asked;
    made_with.cache = settings.kind();
    made_with.cache_threshold = settings.kind() == CacheKind::NONE ? 0 : settings.common().threshold;
}

} // namespace mc::session
