// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// What a request takes of the memory that the model's device has, told from JSON files and the headers of
// weight files.
#include "engine/families/skyreels_v2/window_plans.h"
#include "engine/networks/wan_dit/spread.h"
#include "engine/networks/wan_vae/wan_vae.h"
#include "engine/session/memory_plan.h"
#include "engine/text/tokenizer.h"

namespace mc::skyreels_v2 {

using session::MemoryPlan;
using session::WeightBytes;

// in_bytes: the matrices of the transformer's layers, which the CPU has as wide as ever.
WeightBytes weight_bytes(const model::Tensors& transformer, const model::Tensors& vae, const model::Tensors& text,
                         Precision precision, at::Device device, bool in_bytes);

// Whether what the encoder gives for all texts of the request is on disk.
bool texts_known(session::TextEncoder& encoder, const text::Tokenizer& tokenizer, bool byte_fallback,
                 int64_t text_rows, const VideoSettings& settings);

// What does not depend on the request, but for whether its texts are known.
struct Planned : session::Parts {
    ModelFacts facts;
    const wan_vae::WanVae& vae;
    wan_dit::Ranks ranks = {}; // that make the videos together
    int rank = 0;              // which of them; above 0: with windows alone
};
MemoryPlan plan_memory(const VideoSettings& settings, const Windows& windows, const Planned& model);

// The request in settings that fit into `free` bytes, each by itself: the longest video or window, the largest picture.
// "num-frames=57 or width=416 height=240 would fit"; where none does, what then helps.
std::string what_fits(const session::Request& request, const Planned& model, int64_t free);

} // namespace mc::skyreels_v2
