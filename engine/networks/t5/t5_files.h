// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// The files of the text encoder (docs/algorithms.md#tensor-names).
#include <string>
#include <vector>

#include "engine/model/config.h"
#include "engine/model/json_object.h"
#include "engine/model/tensors.h"

namespace mc::model {

TextEncoderConfig read_text_encoder_config(const JsonObject& config);
TextEncoderConfig infer_text_encoder_config(const TensorMap& tensors, const std::string& origin);
std::vector<ExpectedTensor> text_encoder_tensors(const TextEncoderConfig& config);
TensorRules text_encoder_rules();

} // namespace mc::model
