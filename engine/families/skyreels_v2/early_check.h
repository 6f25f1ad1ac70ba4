// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// What a request is told before any weight of a SkyReels-V2 folder is read.
#include <string>

#include "engine/session/family.h"

namespace mc::skyreels_v2 {

// As in engine/session/family.h, for a SkyReels-V2 folder.
session::MemoryForecast forecast_memory(const std::string& path, const session::LoadOptions& options,
                                        const session::Request& request);
void check_early(const std::string& path, const session::LoadOptions& options, const session::Request& request);

} // namespace mc::skyreels_v2
