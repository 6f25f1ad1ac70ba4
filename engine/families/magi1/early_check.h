// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// What a request is told before any weight of a MAGI-1 model is read.
#include <string>

#include "engine/session/family.h"

namespace mc::magi1 {

// As in engine/session/family.h, for a MAGI-1 model. config: path of its JSON file.
session::MemoryForecast forecast_memory(const std::string& config, const session::LoadOptions& options,
                                        const session::Request& request);
void check_early(const std::string& config, const session::LoadOptions& options, const session::Request& request);

} // namespace mc::magi1
