// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// session::check_early for a SkyReels-V2 folder.
#include <string>

#include "engine/session/family.h"

namespace mc::skyreels_v2 {

// session::forecast_memory for one.
session::MemoryForecast forecast_memory(const std::string& path, const session::LoadOptions& options,
                                        const session::Request& request);
void check_early(const std::string& path, const session::LoadOptions& options, const session::Request& request);

} // namespace mc::skyreels_v2
