// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// The files of the VAE (docs/algorithms.md#tensor-names).
#include <memory>
#include <string>
#include <vector>

#include "engine/model/json_object.h"
#include "engine/model/tensors.h"
#include "engine/networks/wan_vae/config.h"

namespace mc::model {

// Refuses Wan 2.2's VAE (is_residual, patch_size).
VaeConfig read_vae_config(const JsonObject& config);
// The original layout has no config: sizes from the tensors, statistics of the latents as published for
// Wan 2.1.
VaeConfig infer_vae_config(const TensorMap& tensors, const std::string& origin);
std::vector<ExpectedTensor> vae_tensors(const VaeConfig& config);
TensorRules vae_rules();
// A folder with config.json and safetensors (Diffusers names), or a .pth file (original names).
std::unique_ptr<Tensors> open_vae(const std::string& path, VaeConfig& config);

} // namespace mc::model
