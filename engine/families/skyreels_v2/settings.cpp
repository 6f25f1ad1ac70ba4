// SPDX-License-Identifier: LGPL-2.1-or-later
#include "engine/families/skyreels_v2/settings.h"

#include <algorithm>
#include <cmath>

#include "engine/error.h"
#include "engine/families/skyreels_v2/cache_choice.h"
#include "engine/families/skyreels_v2/model.h"
#include "engine/families/skyreels_v2/published_caches.h"
#include "engine/request/field.h"
#include "engine/sampler/noise.h"
#include "engine/text/prompt_cleaning.h"

namespace mc::skyreels_v2 {

[[noreturn]] static void refuse(const std::string& message) {
    throw Error(MC_ERROR_SETTINGS, message);
}

static void check_range(const char* name, int64_t value, int64_t low, int64_t high) {
    if (value < low || value > high)
        refuse(std::string(name) + " is " + std::to_string(value) + " but must be from " +
               std::to_string(low) + " to " + std::to_string(high) + ".");
}

// Width and height: multiples of what one token covers.
static void check_size(const char* name, int value, int step) {
    check_range(name, value, step, 16384);
    if (value % step)
        refuse(std::string(name) + " " + std::to_string(value) + " is not a multiple of " +
               std::to_string(step) + "; the nearest are " + std::to_string(value / step * step) + " and " +
               std::to_string((value / step + 1) * step) + ".");
}

VideoSettings complete(const session::Request& request, const Model& m) {
    return complete(request, ModelFacts{m.transformer_config, m.vae_config, m.defaults,
                                        m.calibration ? &*m.calibration : nullptr});
}

VideoSettings complete(const session::Request& r, const ModelFacts& model) {
    const model::GenerationDefaults& d = model.defaults;
    const model::TransformerConfig& transformer = model.transformer;
    const model::VaeConfig& vae = model.vae;
    check_fields(r, ModelFamily::SKYREELS_V2);
    VideoSettings s;
    s.prompt = text::clean_prompt(r.prompt.value_or(""));
    if (s.prompt.empty())
        refuse("No prompt: set the property prompt to a sentence that describes the video.");
    s.negative_prompt = text::clean_prompt(r.negative_prompt.value_or(d.negative_prompt));
    s.seed = r.seed ? *r.seed : sampler::random_seed();
    s.width = r.width.value_or(d.width);
    s.height = r.height.value_or(d.height);
    check_size("width", s.width, int(vae.spatial_factor * transformer.patch[2]));
    check_size("height", s.height, int(vae.spatial_factor * transformer.patch[1]));
    double rate = double(r.frame_rate_n.value_or(d.frame_rate_n)) / r.frame_rate_d.value_or(d.frame_rate_d);
    if (!(rate > 0 && rate <= 1000))
        refuse("The frame rate must be above 0 and at most 1000 frames per second.");
    s.fps = int(std::lround(rate));
    s.num_frames = r.num_frames.value_or(d.num_frames);
    s.steps = r.steps.value_or(d.steps);
    s.causal_block_size = r.causal_block_size.value_or(d.causal_block_size);
    s.ar_step = r.ar_step.value_or(d.ar_step);
    s.overlap_history = r.overlap_history.value_or(d.overlap_history);
    s.addnoise_condition = r.addnoise_condition.value_or(d.addnoise_condition);
    s.guidance_scale = r.guidance_scale.value_or(d.guidance_scale);
    s.shift = r.shift.value_or(d.shift);
    s.prompt_transition = r.prompt_transition.value_or(0);
    s.long_video = r.long_video.value_or(d.long_video);
    s.attention = r.attention.value_or(d.attention);
    s.has_image = r.image.has_value();
    s.has_end_image = r.end_image.has_value();

    if ((s.has_image || s.has_end_image) && s.causal_block_size != 1)
        refuse("An image needs causal-block-size=1 (it is " + std::to_string(s.causal_block_size) +
               "): the given picture is a latent frame of its own; set causal-block-size=1 and ar-step=0.");
    if (s.has_end_image && !s.has_image)
        refuse(
            "end-image needs image too: the model was trained with a first picture or with a first and a last one.");

    if (s.has_end_image && s.attention != Attention::FULL)
        refuse(
            "end-image needs attention=full: otherwise no frame attends to those after it, and the last picture changes nothing.");
    s.finished_chunks = r.finished_chunks.value_or(FinishedChunks::FROZEN);
    s.reference_windows = r.reference_windows.value_or(false);
    if (r.finished_chunks && s.attention != Attention::KV)
        refuse(
            "finished-chunks is set but attention is not kv, so that finished chunks are computed in every step: set "
            "attention=kv, or drop it.");
    s.keys_in_bytes = r.kv_precision == StoredPrecision::INT8;
    if (s.keys_in_bytes && s.attention != Attention::KV)
        refuse("kv-precision is set but attention is not kv, so that no keys and values are kept: set attention=kv, or "
               "drop it.");
    s.cache = r.cache_settings ? *r.cache_settings
                               : choose_cache(r.cache, s.attention, model.calibration,
                                              model::skyreels_v2::published_caches(transformer));

    if (s.has_end_image && s.num_frames == ENDLESS)
        refuse(
            "end-image is what the video ends with, and num-frames=-1 has no end: set num-frames, or drop end-image.");
    int base = r.base_num_frames.value_or(d.base_num_frames);
    s.length = plan_length(s.num_frames, base, s.overlap_history, s.causal_block_size, s.long_video);
    const auto& windows = s.length.windows;
    wan_dit::Window::check_positions(transformer, std::max(windows.front(), windows.back() + s.has_end_image),
                                     s.height / vae.spatial_factor / transformer.patch[1],
                                     s.width / vae.spatial_factor / transformer.patch[2]);
    return s;
}

} // namespace mc::skyreels_v2
