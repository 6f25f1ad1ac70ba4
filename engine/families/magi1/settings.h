// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// A request completed with the model's defaults and checked: from here on nothing is unset and nothing can clash.
#include <string>

#include "engine/families/magi1/captions.h"
#include "engine/families/magi1/folder.h"
#include "engine/families/magi1/sampler.h"
#include "engine/session/request.h"

namespace mc::magi1 {

constexpr int LATENT = 4;  // frames that a latent frame stands for
constexpr int CHUNK = 6;   // latent frames of a chunk
constexpr int ENDLESS = -1; // of num_frames
constexpr int SEEN = 32;    // frames of a given video that the model goes on from, the last ones

struct VideoSettings {
    std::string prompt; // as it was given
    int64_t seed;       // >= 0
    int width, height;
    int num_frames;
    int given = 0;  // latent frames in front that are not generated
    int hidden = 0; // of these, those that are not delivered
    // Three branches: the largest weight of the caption in the table, which has been scaled to it; one: 1.
    double guidance_scale = 1;
    TokenChoice tokens;
    bool cache_unasked = false; // whether a cache runs that nobody asked for
    SamplerSettings sampler;
};

// What a request is completed with and checked against: what the JSON file says.
struct ModelFacts {
    const model::magi1::Runtime& runtime;
    const model::MagiDitConfig& transformer;
};

// Throws MC_ERROR_SETTINGS with the setting, its value and what to set instead.
VideoSettings complete(const session::Request& request, const ModelFacts& model);

// What kv-budget and kv-queries ask for. Throws MC_ERROR_SETTINGS where this cache cannot have it.
std::optional<SamplerSettings::Compression> compression_of(const session::Request& request,
                                                           const cache::AnySettings& cache);

// Guides for a scale of the guidance: the model's own but for the caption's weight.
std::vector<Guide> guides_of(const model::magi1::Runtime& runtime, std::optional<double> scale);

// Of names with + between. Throws MC_ERROR_SETTINGS for an unknown one.
TokenChoice special_tokens(const std::string& names);

// Whether anything is left of it as the model reads it. Throws MC_ERROR_SETTINGS as text::clean_caption.
bool says_something(const std::string& prompt);

} // namespace mc::magi1
