// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// The files of a text encoder of the T5 series (docs/algorithms.md#tensor-names): UMT5, whose files come by two
// namings, or T5 v1.1.
#include <memory>
#include <string>
#include <vector>

#include "engine/model/json_object.h"
#include "engine/model/tensors.h"
#include "engine/networks/t5/config.h"

namespace mc::model {

TextEncoderConfig read_text_encoder_config(const JsonObject& config);    // UMT5
TextEncoderConfig read_t5_text_encoder_config(const JsonObject& config); // T5 v1.1
TextEncoderConfig infer_text_encoder_config(const TensorMap& tensors, const std::string& origin);
std::vector<ExpectedTensor> text_encoder_tensors(const TextEncoderConfig& config);
TensorRules text_encoder_rules(const TextEncoderConfig& config);
// UMT5: a folder with config.json and safetensors (Diffusers names), or a .pth file (original names).
std::unique_ptr<Tensors> open_text_encoder(const std::string& path, TextEncoderConfig& config);
// T5 v1.1: a folder with config.json and weights, safetensors or the shards that torch.save wrote.
std::unique_ptr<Tensors> open_t5_text_encoder(const std::string& folder, TextEncoderConfig& config);

} // namespace mc::model
