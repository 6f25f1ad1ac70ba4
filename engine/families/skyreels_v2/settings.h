// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// A request completed with the model's defaults and checked: from here on nothing is unset and nothing can clash.
#include <string>

#include "engine/cache/published.h"
#include "engine/families/skyreels_v2/folder.h"
#include "engine/families/skyreels_v2/windows.h"
#include "engine/model/calibration.h"
#include "engine/session/request.h"

namespace mc::skyreels_v2 {

struct Model;

struct VideoSettings {
    std::string prompt, negative_prompt; // cleaned
    int64_t seed;                        // >= 0
    int width, height, fps;              // fps rounded: what selects the fps embedding
    int num_frames, steps, causal_block_size, ar_step, overlap_history, addnoise_condition;
    double guidance_scale, shift;
    int prompt_transition; // chunks
    LongVideo long_video;
    Attention attention;
    cache::AnySettings cache;
    FinishedChunks finished_chunks;
    bool keys_in_bytes; // kv-precision=int8
    bool reference_windows;
    bool has_image, has_end_image;
    Length length; // windows; frames >= num_frames
};

// What a request is completed with and checked against.
struct ModelFacts {
    const model::TransformerConfig& transformer;
    const model::VaeConfig& vae;
    const model::GenerationDefaults& defaults;
    const model::Calibration* calibration; // or null
};

// Throws MC_ERROR_SETTINGS with the setting, its value and what to set instead.
VideoSettings complete(const session::Request& request, const ModelFacts& model);
VideoSettings complete(const session::Request& request, const Model& model);

} // namespace mc::skyreels_v2
