// SPDX-License-Identifier: LGPL-2.1-or-later
// Opens the files of a text encoder; what has to be in them is in t5_files.cpp.
#include "engine/model/folder_listing.h"
#include "engine/model/read_error.h"
#include "engine/networks/t5/t5_files.h"

namespace mc::model {

std::unique_ptr<Tensors> open_text_encoder(const std::string& path, TextEncoderConfig& config) {
    const bool single = is_file(path);
    WeightFiles weights{};
    if (single) {
        weights = open_weight_file(path);
        config = infer_text_encoder_config(weights.tensors, path);
    } else {
        config = read_text_encoder_config(JsonObject::read(path + "/config.json"));
        weights = open_weight_shards(path);
    }
    return name_tensors(std::move(weights), single ? Layout::ORIGINAL : Layout::DIFFUSERS,
                        text_encoder_tensors(config), text_encoder_rules(config));
}

std::unique_ptr<Tensors> open_t5_text_encoder(const std::string& folder, TextEncoderConfig& config) {
    config = read_t5_text_encoder_config(JsonObject::read(folder + "/config.json"));
    return name_tensors(open_weight_shards(folder), Layout::DIFFUSERS, text_encoder_tensors(config),
                        text_encoder_rules(config));
}

} // namespace mc::model
