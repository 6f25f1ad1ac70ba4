// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// A request of SkyReels-V2 from its prompt to frames: windows that are sampled row by row and decoded chunk by chunk.
#include <memory>

#include "engine/families/skyreels_v2/model.h"

namespace mc::skyreels_v2 {

// The model must outlive it. Trace names: "prompt_ids", "negative_ids", "prompt_embeds", "negative_embeds";
// "image_latent", "end_latent", "prefix_latents.w{i}"; for each row: "steps.timesteps", "steps.v_cond",
// "steps.v_uncond", "steps.latents"; with attention kv "kv.{cond,uncond}.layer{i}.{k,v}" at the end of a window;
// "latents.w{i}" of a window with its prefix, without an end image; "latents" of the whole video when there is one
// window or windows are joined by latents.
std::unique_ptr<session::Video> begin_video(const Model& model, session::Request request);

} // namespace mc::skyreels_v2
