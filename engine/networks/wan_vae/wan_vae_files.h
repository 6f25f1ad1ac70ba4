// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// The files of the VAE (docs/algorithms.md#tensor-names).
#include <string>
#include <vector>

#include "engine/model/config.h"
#include "engine/model/json_object.h"
#include "engine/model/tensors.h"

namespace mc::model {

// Refuses Wan 2.2's VAE (is_residual, patch_size).
VaeConfig read_vae_config(const JsonObject& config);
// The original layout has no config: sizes from the tensors, statistics of the latents as published for
// Wan 2.1.
VaeConfig infer_vae_config(const TensorMap& tensors, const std::string& origin);
std::vector<ExpectedTensor> vae_tensors(const VaeConfig& config);
TensorRules vae_rules();

} // namespace mc::model
