// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// Defaults of a request, as published or as the model's folder states them.
#include "engine/model/config.h"
#include "engine/model/json_object.h"

namespace mc::model::skyreels_v2 {

// generation_config.json, ours: what it states replaces the field of `defaults`. An unknown field is an
// error that lists the known ones.
void read_generation_config(const JsonObject& config, GenerationDefaults& defaults);
// Defaults of the series (the command line's of the reference, docs/algorithms.md#defaults); `for_720p`: those
// recommended for the 720P models, 1280 x 720 and windows of 121 frames.
GenerationDefaults series_defaults(bool for_720p);

} // namespace mc::model::skyreels_v2
