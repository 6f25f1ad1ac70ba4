// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// The files of MAGI-1's transformer: its part of the configuration, and which tensors it has
// (docs/algorithms.md#magi-tensors).
#include <memory>
#include <string>
#include <vector>

#include "engine/model/json_object.h"
#include "engine/model/tensors.h"
#include "engine/networks/magi_dit/config.h"

namespace mc::model {

// model_config, fp8_quant and distill of engine_config.
MagiDitConfig read_magi_dit_config(const JsonObject& model_config, bool fp8, bool distilled);
std::vector<ExpectedTensor> magi_dit_tensors(const MagiDitConfig& config);
// The name of the folder beside `load` that holds the weights: "inference_weight.fp8.distill".
std::string magi_dit_folder(const MagiDitConfig& config);
// `folder` holds the safetensors, whole or in shards. Throws MC_ERROR_READ, MC_ERROR_NOT_FOUND.
std::unique_ptr<Tensors> open_magi_dit(const std::string& folder, const MagiDitConfig& config);

} // namespace mc::model
