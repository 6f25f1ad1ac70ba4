// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// No cache: everything is computed in every row.
#include <memory>

#include "engine/cache/common_settings.h"

namespace mc::cache {

class Policy;

struct NoCache {
    static constexpr CacheKind KIND = CacheKind::NONE;
    bool operator==(const NoCache&) const = default;
};

void read(const CacheFields& request, NoCache& settings);
void check(const NoCache& settings);
std::unique_ptr<Policy> make(const NoCache& settings);

} // namespace mc::cache
