// SPDX-License-Identifier: LGPL-2.1-or-later
// Opens the files of a transformer; what has to be in them is in wan_dit_files.cpp.
#include "engine/networks/wan_dit/wan_dit_files.h"
#include "engine/model/read_error.h"

namespace mc::model {

TransformerFiles open_transformer_files(const std::string& folder) {
    JsonObject config = JsonObject::read(folder + "/config.json");
    transformer_layout(config); // a wrong class explains better what the weights lack
    return {config, open_weight_shards(folder)};
}

std::unique_ptr<Tensors> name_transformer(TransformerFiles& files, TransformerConfig& config) {
    config = read_transformer_config(files.config, files.weights.tensors);
    return name_tensors(std::move(files.weights), transformer_layout(files.config),
                        transformer_tensors(config), transformer_rules());
}

std::unique_ptr<Tensors> open_transformer(const std::string& folder, TransformerConfig& config) {
    TransformerFiles files = open_transformer_files(folder);
    return name_transformer(files, config);
}

} // namespace mc::model
