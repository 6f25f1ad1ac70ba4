// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// The files of the transformer: how its config is read and which tensors it has (docs/algorithms.md#tensor-names).
// Names and shapes are the same in both layouts but for the spelling of the names.
#include <memory>
#include <string>
#include <vector>

#include "engine/model/json_object.h"
#include "engine/model/tensors.h"
#include "engine/networks/wan_dit/config.h"

namespace mc::model {

// Config of the transformer; `tensors` by the names of the files, for what the config leaves to their shapes:
// text width of the original layout, fps embedding of both. Refuses the image-to-video models and patches other
// than 1 x 2 x 2. num_frame_per_block is passed over: the mask is a setting of the request, not of the model.
Layout transformer_layout(const JsonObject& config); // by its class
TransformerConfig read_transformer_config(const JsonObject& config, const TensorMap& tensors);
// Without what the tensors say: text_width is 0 in the original layout, fps_embedding what the config states, else
// false.
TransformerConfig outline_transformer_config(const JsonObject& config);
std::vector<ExpectedTensor> transformer_tensors(const TransformerConfig& config);
TensorRules transformer_rules();
// A folder with config.json and safetensors, either layout: their headers, of which name_transformer makes the one
// naming.
struct TransformerFiles {
    JsonObject config;
    WeightFiles weights;
};
TransformerFiles open_transformer_files(const std::string& folder);
std::unique_ptr<Tensors> name_transformer(TransformerFiles& files, TransformerConfig& config);
std::unique_ptr<Tensors> open_transformer(const std::string& folder, TransformerConfig& config); // both

} // namespace mc::model
