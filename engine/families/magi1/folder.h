// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// A MAGI-1 model as published: one JSON file (model_config, runtime_config, engine_config) that names where the
// weights, T5 and the VAE lie; the special tokens lie beside them. No Torch.
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/model/claim.h"
#include "engine/model/json_object.h"
#include "engine/model/pictures.h"
#include "engine/model/tensors.h"
#include "engine/networks/magi_dit/config.h"
#include "engine/networks/t5/config.h"
#include "engine/networks/vit_vae/config.h"

namespace mc::model::magi1 {

// Whether `path` is such a JSON file, or a folder that holds one. Throws MC_ERROR_READ for one that is no valid JSON
// and for several.
std::optional<Claim> claim(const std::string& path);
PictureSizes pictures(const std::string& config_file);

// runtime_config and what engine_config adds to it.
struct Runtime {
    int branches = 1;                                                // cfg_number: 1 or 3
    std::vector<double> guidance_from, previous_scales, text_scales; // of equal length
    std::vector<int> noise2clean; // as in Stages
    int clean_range = -1;         // as in Stages
    double clean_t = 1;
    int64_t seed = 1234;
    int frames = 128, height = 720, width = 720, frame_rate = 24;
    int steps = 64, window = 4, chunk = 6;
    double scale = 0.18215;    // of latents
    double nearly_clean = 0.3; // from which flow time on a distilled model blends in a chunk's copy
    std::string shortcut = "8,16,16";
    bool distilled = false, fp8 = false;
};

struct Places {
    std::string weights, text_encoder, tokenizer, vae, special_tokens;
};

class Folder {
  public:
    // Reads the configurations; of weights only that they are there. Throws MC_ERROR_NOT_FOUND, which lists what was
    // looked for and where, and MC_ERROR_READ.
    static Folder open(const std::string& config_file);

    std::string file;
    Runtime runtime;
    MagiDitConfig transformer;
    VitVaeConfig vae;
    TextEncoderConfig text_encoder;
    Places places;
};

// The configuration alone.
Runtime read_runtime(const JsonObject& config);
struct Configuration {
    Runtime runtime;
    MagiDitConfig transformer;
};
Configuration read_configuration(const JsonObject& config);

} // namespace mc::model::magi1
