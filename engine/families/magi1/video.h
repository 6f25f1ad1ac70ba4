// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// A video of MAGI-1: its captions once, then a row of the schedule per step; chunks of 24 frames come out as they
// become clean.
#include <memory>

#include "engine/families/magi1/model.h"

namespace mc::magi1 {

// Completes and checks the request against the model and the free memory. Trace names: "prompt_ids", "prompt_embeds";
// "given_latents"; of each row "steps.latents", of the chunks on their way; "latents.c{i}" of finished ones; what a
// compression of keys chose, "event{n}.layer{i}.{indices,score,query,key_in,key_out}".
std::unique_ptr<session::Video> begin_video(const Model& model, session::Request request);

} // namespace mc::magi1
