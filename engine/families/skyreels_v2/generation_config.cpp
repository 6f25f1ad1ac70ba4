// SPDX-License-Identifier: LGPL-2.1-or-later
#include <cmath>

#include "engine/families/skyreels_v2/generation_config.h"
#include "engine/model/read_error.h"

namespace mc::model::skyreels_v2 {

namespace {

constexpr int64_t SIDE_LIMIT = 16384, FRAME_LIMIT = 1'000'000;

// The reference's command line for Diffusion Forcing, word for word.
constexpr const char* NEGATIVE_PROMPT =
    "色调艳丽，过曝，静态，细节模糊不清，字幕，风格，作品，画作，画面，静止，整体发灰，最差质量，低质量，JPEG"
    "压缩残留，"
    "丑陋的，残缺的，多余的手指，画得不好的手部，画得不好的脸部，畸形的，毁容的，形态畸形的肢体，手指融合，"
    "静止不动的画面，杂乱的背景，三条腿，背景人很多，倒着走";

struct Field {
    const char* key;
    void (*read)(const JsonObject& config, const char* key, GenerationDefaults& into);
};

template <int GenerationDefaults::*member, int64_t least, int64_t most>
void read_int(const JsonObject& config, const char* key, GenerationDefaults& into) {
    into.*member = int(config.integer(key, least, most));
}

using D = GenerationDefaults;
const Field FIELDS[] = {
    {"width", read_int<&D::width, 1, SIDE_LIMIT>},
    {"height", read_int<&D::height, 1, SIDE_LIMIT>},
    {"frame_rate", read_int<&D::frame_rate_n, 1, 1000>},
    {"num_frames", read_int<&D::num_frames, 1, FRAME_LIMIT>},
    {"base_num_frames", read_int<&D::base_num_frames, 1, FRAME_LIMIT>},
    {"overlap_history", read_int<&D::overlap_history, 1, FRAME_LIMIT>},
    {"causal_block_size", read_int<&D::causal_block_size, 1, FRAME_LIMIT>},
    {"steps", read_int<&D::steps, 1, 1000>},
    {"ar_step", read_int<&D::ar_step, 0, 1000>},
    {"addnoise_condition", read_int<&D::addnoise_condition, 0, 999>},
    {"shift", [](const JsonObject& c, const char* key, D& into) { into.shift = c.number(key, 1e-3, 1e3); }},
    {"guidance_scale",
     [](const JsonObject& c, const char* key, D& into) { into.guidance_scale = c.number(key, 0, 1e3); }},
    {"negative_prompt",
     [](const JsonObject& c, const char* key, D& into) { into.negative_prompt = c.text(key); }},
    {"attention",
     [](const JsonObject& c, const char* key, D& into) {
         std::string mode = c.text(key);
         if (mode != "full" && mode != "causal" && mode != "kv")
             c.refuse(key, "\"full\", \"causal\" or \"kv\"");
         into.attention = mode == "full"     ? Attention::FULL
                          : mode == "causal" ? Attention::CAUSAL
                                             : Attention::KV;
     }},
    {"long_video",
     [](const JsonObject& c, const char* key, D& into) {
         std::string mode = c.text(key);
         if (mode != "pixel" && mode != "latent") c.refuse(key, "\"pixel\" or \"latent\"");
         into.long_video = mode == "pixel" ? LongVideo::PIXEL : LongVideo::LATENT;
     }},
};

std::string known_fields() {
    std::string list;
    for (const Field& field : FIELDS) list += (list.empty() ? "" : ", ") + std::string(field.key);
    return list;
}

} // namespace

void read_generation_config(const JsonObject& config, GenerationDefaults& defaults) {
    for (const std::string& key : config.keys()) {
        const Field* known = nullptr;
        for (const Field& field : FIELDS)
            if (key == field.key) known = &field;
        if (!known)
            throw read_error(config.file(), "has the unknown field " + in_quotes(key),
                             "use only " + known_fields());
        known->read(config, known->key, defaults);
    }
}

GenerationDefaults series_defaults(bool for_720p) {
    GenerationDefaults defaults;
    defaults.negative_prompt = NEGATIVE_PROMPT;
    if (for_720p) {
        defaults.width = 1280, defaults.height = 720;
        defaults.num_frames = defaults.base_num_frames = 121;
    }
    return defaults;
}

} // namespace mc::model::skyreels_v2
