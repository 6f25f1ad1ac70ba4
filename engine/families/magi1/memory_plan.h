// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// What a request takes of memory, known from JSON files and the headers of weight files.
#include <string>

#include "engine/families/magi1/settings.h"
#include "engine/networks/vit_vae/vit_vae.h"
#include "engine/session/memory_plan.h"
#include "engine/text/tokenizer.h"

namespace mc::magi1 {

using session::MemoryPlan;
using session::WeightBytes;

WeightBytes weight_bytes(const model::Tensors& transformer, const model::Tensors& vae, const model::Tensors& text,
                         Precision precision);

// Whether what the encoder gives for the request's caption is on disk.
bool text_known(session::TextEncoder& encoder, const text::Tokenizer& tokenizer, int64_t text_rows,
                const VideoSettings& settings);

// What does not depend on the request, but for whether its text is known.
struct Planned : session::Parts {
    ModelFacts facts;
    const vit_vae::VitVae& vae; // may be without numbers (on the device "meta")
};
MemoryPlan plan_memory(const VideoSettings& settings, const Planned& model);

// How the VAE cuts a video: of the model's own frame rate, whatever the caps are.
vit_vae::Tiles tiles_of(const model::magi1::Runtime& runtime);

// "width=416 height=240 would fit.", the largest picture of about the same shape; where none does, what then helps.
std::string what_fits(const session::Request& request, const Planned& model, int64_t free);

} // namespace mc::magi1
