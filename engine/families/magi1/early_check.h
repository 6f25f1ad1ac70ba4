// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// session::check_early for a MAGI-1 model.
#include <string>

#include "engine/session/family.h"

namespace mc::magi1 {

// session::forecast_memory for one. config: the JSON file.
session::MemoryForecast forecast_memory(const std::string& config, const session::LoadOptions& options,
                                        const session::Request& request);
void check_early(const std::string& config, const session::LoadOptions& options, const session::Request& request);

} // namespace mc::magi1
