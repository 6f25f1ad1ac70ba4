// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// What is asked for, of any family; each uses those of these settings that it has.
#include <ATen/core/Tensor.h>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "engine/cache/policy.h"
#include "engine/cancel.h"
#include "engine/request/fields.h"
#include "engine/sampler/choices.h"
#include "engine/sampler/image.h"
#include "engine/sampler/turn.h"
#include "engine/session/cache_choice.h"
#include "engine/request/changes.h"
#include "engine/trace.h"

namespace mc::session {

// What is left unset takes the model's default. Checked and completed when a session is made.
struct Request : Fields {
    std::optional<sampler::Image> image, end_image;
    std::optional<sampler::Clip> prefix_video; // what of it is not used need not be there
    sampler::Grid grid = sampler::Grid::OFFICIAL;
    Cancel cancel;
    std::shared_ptr<Changes> changes; // while the video is made; or null
    // Called with the share that is read of a text encoder which is read while the video is made.
    std::function<void(double share)> reading;

    // For golden cases and comparisons: a policy with settings that no field of the request gives.
    std::optional<cache::AnySettings> cache_settings;
    // Likewise noise from outside instead of the seed's.
    //   initial(window, [C, T, h, w]) and prefix(window, row, [C, prefix, h, w]), float32. MAGI-1: window is the chunk.
    std::function<at::Tensor(int window, at::IntArrayRef shape)> initial_noise;
    std::function<at::Tensor(int window, int row, at::IntArrayRef shape)> prefix_noise;
    // Trace names: "prompt_ids", "negative_ids", "prompt_embeds", "negative_embeds"; "image_latent",
    // "end_latent", "prefix_latents.w{i}"; for each row: "steps.timesteps", "steps.v_cond", "steps.v_uncond",
    // "steps.latents"; with attention kv "kv.{cond,uncond}.layer{i}.{k,v}" at the end of a window; "latents.w{i}" of
    // a window with its prefix, without an end image; "latents" of the whole video when there is one window or
    // windows are joined by latents. Of MAGI-1: "steps.latents" of the chunks on their way, "latents.c{i}" of finished
    // ones.
    Trace trace;
    // Every decision of the cache policy, and every turn of a chunk in attention kv.
    cache::Observer decisions;
    std::function<void(int window, const sampler::Turn&)> turns;
};

// mc::check_fields, of pictures and clips as well, which a request holds as pixels: what each family begins with when
// it completes a request.
void check_fields(const Request& request, ModelFamily family);

} // namespace mc::session
