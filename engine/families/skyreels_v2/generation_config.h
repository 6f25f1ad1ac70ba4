// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// Defaults of a request, as published or as the model's folder states them.
#include <string>

#include "engine/model/json_object.h"
#include "engine/request/fields.h"

namespace mc::model {

// Defaults of a request: generation_config.json of the model, else the published defaults of the series,
// which stand here but for the negative prompt and those of the 720P model. Sizes in pixels, lengths in
// frames; causal_block_size in latent frames.
struct GenerationDefaults {
    std::string negative_prompt;
    int width = 960, height = 544;
    int frame_rate_n = 24, frame_rate_d = 1;
    int num_frames = 97;
    int steps = 30;
    double guidance_scale = 6.0;
    double shift = 8.0;
    int causal_block_size = 1;
    int ar_step = 0;
    int base_num_frames = 97;
    int overlap_history = 17;
    LongVideo long_video = LongVideo::PIXEL;
    int addnoise_condition = 0;
    Attention attention = Attention::FULL;
};

} // namespace mc::model

namespace mc::model::skyreels_v2 {

// generation_config.json, ours: what it states replaces the field of `defaults`. An unknown field is an
// error that lists the known ones.
void read_generation_config(const JsonObject& config, GenerationDefaults& defaults);
// Defaults of the series (the command line's of the reference, docs/algorithms.md#defaults); `for_720p`: those
// recommended for the 720P models, 1280 x 720 and windows of 121 frames.
GenerationDefaults series_defaults(bool for_720p);

} // namespace mc::model::skyreels_v2
