// SPDX-License-Identifier: LGPL-2.1-or-later
#include "engine/families/magi1/settings.h"

#include <algorithm>
#include <utility>

#include "engine/error.h"
#include "engine/families/magi1/published_caches.h"
#include "engine/request/field.h"
#include "engine/sampler/image.h"
#include "engine/sampler/noise.h"
#include "engine/text/caption_cleaning.h"
#include "engine/text/prompt_cleaning.h"

namespace mc::magi1 {

namespace {

using model::magi1::Runtime;

constexpr int STEP = 16, LEAST = 32, LARGEST = 16384;  // of a side, in pixels: positions need two tokens
constexpr int DISTILLED_STEPS[] = {8, 12, 16, 32, 64}; // that distilled weights were trained for

[[noreturn]] void refuse(const std::string& message) {
    throw Error(MC_ERROR_SETTINGS, message);
}

void check_size(const char* name, int value) {
    if (value < LEAST || value > LARGEST)
        refuse(std::string(name) + " is " + std::to_string(value) + " but must be from " +
               std::to_string(LEAST) + " to " + std::to_string(LARGEST) + ".");
    if (value % STEP)
        refuse(std::string(name) + " " + std::to_string(value) + " is not a multiple of " +
               std::to_string(STEP) + "; the nearest are " + std::to_string(value / STEP * STEP) + " and " +
               std::to_string((value / STEP + 1) * STEP) + ".");
}

void check_steps(int steps, bool distilled) {
    if (distilled &&
        std::find(std::begin(DISTILLED_STEPS), std::end(DISTILLED_STEPS), steps) == std::end(DISTILLED_STEPS))
        refuse("steps is " + std::to_string(steps) +
               ", which this distilled model was not trained for: take 8, 12, 16, 32 or 64.");
}

// Chunks on their way at once.
int window_of(const session::Request& r, const Runtime& model, int steps) {
    if (!r.ar_step) return model.window;
    if (*r.ar_step < 1 || steps % *r.ar_step)
        refuse("ar-step is " + std::to_string(*r.ar_step) + " but must divide steps, which is " +
               std::to_string(steps) +
               ": a chunk of MAGI-1 enters whenever the one before has taken so many.");
    return steps / *r.ar_step;
}

// Latent frames of a video that is given.
int latents_of(const sampler::Clip& clip, const Runtime& model) {
    const int64_t frames = int64_t(clip.frames.size());
    if (frames < LATENT)
        refuse("prefix-video has " + std::to_string(frames) +
               " frames, and the model sees 4 at a time: give at least 4, or a "
               "picture as image.");
    if (int64_t(clip.frame_rate_n) != int64_t(model.frame_rate) * clip.frame_rate_d)
        refuse("prefix-video has " + std::to_string(clip.frame_rate_n) + "/" +
               std::to_string(clip.frame_rate_d) + " frames per second and the model makes " +
               std::to_string(model.frame_rate) + ": give it at the model's rate, as videorate makes it.");
    return int(std::min<int64_t>(frames, SEEN) / LATENT);
}

// Whether it is the model, with the steps, that MotionCache was published for.
bool is_published(const ModelFacts& model, int steps) {
    const model::MagiDitConfig& c = model.transformer;
    return c.distilled && c.layers == 34 && c.width == 3072 && steps == 64;
}

} // namespace

std::optional<SamplerSettings::Compression> compression_of(const session::Request& r, const cache::AnySettings& cache) {
    if (!r.kv_budget) {
        if (r.kv_queries)
            refuse(std::string("kv-queries=") + name_of(*r.kv_queries) +
                   " is set but no keys are compressed: set kv-budget, or drop it.");
        return {};
    }
    if (cache.kind() == CacheKind::MOTIONCACHE)
        refuse(
            "kv-budget is " + std::to_string(*r.kv_budget) +
            ", and cache=motioncache computes tokens for which no compression was made: take cache=flowcache, which it "
            "was published with, or drop kv-budget.");
    return SamplerSettings::Compression{*r.kv_budget, {.queries = r.kv_queries.value_or(KvQueries::FRAME)}};
}

TokenChoice special_tokens(const std::string& names) {
    TokenChoice choice{.high_quality = false, .duration = false};
    if (names.empty() || names == "none") return choice;
    constexpr std::pair<const char*, bool TokenChoice::*> KNOWN[] = {
        {"hq", &TokenChoice::high_quality},
        {"duration", &TokenChoice::duration},
        {"borders", &TokenChoice::borders},
        {"static", &TokenChoice::static_first_frames},
        {"dynamic", &TokenChoice::dynamic_first_frames},
        {"3d-model", &TokenChoice::three_d_model},
        {"2d-anime", &TokenChoice::two_d_anime},
        {"negative", &TokenChoice::negative}};
    for (size_t begin = 0; begin <= names.size();) {
        const size_t end = std::min(names.find('+', begin), names.size());
        std::string name = names.substr(begin, end - begin);
        name.erase(0, name.find_first_not_of(' '));
        name.erase(name.find_last_not_of(' ') + 1);
        const auto known =
            std::find_if(std::begin(KNOWN), std::end(KNOWN), [&](const auto& k) { return name == k.first; });
        if (known == std::end(KNOWN)) {
            std::string list;
            for (const auto& [n, member] : KNOWN) list += std::string(n) + ", ";
            refuse("special-tokens names \"" + name + "\", which is none of " +
                   list.substr(0, list.size() - 2) + ".");
        }
        choice.*known->second = true;
        begin = end + 1;
    }
    return choice;
}

bool says_something(const std::string& prompt) {
    return !text::clean_caption(prompt).empty();
}

std::vector<Guide> guides_of(const Runtime& runtime, std::optional<double> scale) {
    if (runtime.branches == 1) return {};
    const double largest = *std::max_element(runtime.text_scales.begin(), runtime.text_scales.end());
    if (scale && largest <= 0)
        refuse("guidance-scale scales the model's text_scales, which are all 0: drop it.");
    std::vector<Guide> guides;
    for (size_t i = 0; i < runtime.guidance_from.size(); i++)
        guides.push_back({runtime.guidance_from[i], runtime.previous_scales[i],
                          runtime.text_scales[i] * (scale ? *scale / largest : 1)});
    return guides;
}

VideoSettings complete(const session::Request& r, const ModelFacts& model) {
    const Runtime& d = model.runtime;
    check_fields(r, ModelFamily::MAGI1);
    VideoSettings s;
    s.prompt = r.prompt.value_or("");
    if (text::clean_prompt(s.prompt).empty())
        refuse("No prompt: set the property prompt to a sentence that describes the video.");
    if (!says_something(s.prompt))
        refuse(
            "Nothing is left of the prompt once addresses, numbers and the like are taken out of it, as in training: describe "
            "the video in words.");
    s.seed = r.seed ? *r.seed : sampler::random_seed();
    s.width = r.width.value_or(d.width);
    s.height = r.height.value_or(d.height);
    check_size("width", s.width);
    check_size("height", s.height);
    s.num_frames = r.num_frames.value_or(d.frames);

    SamplerSettings& p = s.sampler;
    p.stages.steps = r.steps.value_or(d.steps);
    check_steps(p.stages.steps, model.transformer.distilled);
    p.stages.window = window_of(r, d, p.stages.steps);
    p.stages.noise2clean = d.noise2clean;
    p.stages.clean_range = d.clean_range;
    if (r.image && r.prefix_video)
        refuse("image and prefix-video both say how the video begins: drop one of them.");
    if (r.image) s.given = 1;
    if (r.prefix_video) s.given = s.hidden = latents_of(*r.prefix_video, d);
    s.tokens = special_tokens(r.special_tokens.value_or("hq+duration"));
    p.stages.given = s.given / CHUNK;
    if (s.num_frames != ENDLESS) {
        const int64_t latents = s.hidden + (int64_t(s.num_frames) + LATENT - 1) / LATENT;
        p.stages.chunks = (latents + CHUNK - 1) / CHUNK;
    } else if (d.noise2clean.empty() && !r.kv_budget) {
        refuse(
            "num-frames=-1 has no end, and with an empty noise2clean_kvrange each chunk of this model sees all before it, "
            "for which no memory would suffice: set kv-budget=1, which compresses what is kept, or set num-frames.");
    }
    p.stages.check();
    p.times =
        flow_times(p.stages.steps, d.shortcut == "16,16,8" ? Shortcut::LARGE_LAST : Shortcut::LARGE_FIRST);
    if (d.branches == 1 && r.guidance_scale.value_or(1) > 1)
        refuse(
            "guidance-scale has no effect on this distilled model, which was trained to need no guidance: drop it, or take "
            "the weights that are not distilled.");
    p.guides = guides_of(d, r.guidance_scale);
    for (const Guide& guide : p.guides) s.guidance_scale = std::max(s.guidance_scale, guide.text);
    p.clean_t = float(d.clean_t);
    p.distilled = model.transformer.distilled;
    s.cache_unasked = is_published(model, p.stages.steps) && !r.kv_budget;
    p.cache = r.cache_settings ? *r.cache_settings : choose_cache(r.cache, d.branches, s.cache_unasked);
    p.compression = compression_of(r, p.cache);
    // Without a cache as the official code does it, with one as the caches were published.
    const bool cached = p.cache.kind() != CacheKind::NONE;
    p.passes_finished = r.finished_chunks ? *r.finished_chunks == FinishedChunks::REFRESHED : !cached;
    if (!p.passes_finished && !cached)
        refuse(
            "finished-chunks=frozen goes with a cache, which keeps what the last step left of a chunk: drop it, or choose "
            "a cache.");
    if (!cached && d.branches == 1) p.copy_above = d.nearly_clean;
    return s;
}

} // namespace mc::magi1
