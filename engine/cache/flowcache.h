// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// The settings of FlowCache. Formulas: docs/algorithms.md#flowcache.
#include <memory>

#include "engine/cache/common_settings.h"

namespace mc::cache {

class Policy;

struct FlowCacheSettings : CommonSettings {
    static constexpr CacheKind KIND = CacheKind::FLOWCACHE;

    // Evaluations of a chunk that are always computed, at the beginning and at the end; >= 0. The first
    // one is computed in any case.
    int forced_first = 5, forced_last = 1;
    // Whether the window's first and last row are computed at any distance, which then is not added.
    bool whole_ends = false;
    // Whether all chunks are computed in a row in which one starts, and all sums begin anew.
    bool whole_when_chunk_starts = false;

    bool operator==(const FlowCacheSettings&) const = default;
};

void read(const CacheFields& request, FlowCacheSettings& settings); // sets what the request says
// Throws MC_ERROR_SETTINGS for the first value out of its range.
void check(const FlowCacheSettings& settings);
std::unique_ptr<Policy> make(const FlowCacheSettings& settings);

} // namespace mc::cache
