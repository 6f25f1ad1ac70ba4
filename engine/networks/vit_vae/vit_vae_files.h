// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// The files of the ViT VAE: a folder with config.json and safetensors, as published for MAGI-1.
#include <memory>
#include <string>
#include <vector>

#include "engine/model/json_object.h"
#include "engine/model/tensors.h"
#include "engine/networks/vit_vae/config.h"

namespace mc::model {

// Sizes are read; what is built otherwise than it can be computed here is refused.
VitVaeConfig read_vit_vae_config(const JsonObject& config);
std::vector<ExpectedTensor> vit_vae_tensors(const VitVaeConfig& config);
// Throws MC_ERROR_READ, MC_ERROR_NOT_FOUND.
std::unique_ptr<Tensors> open_vit_vae(const std::string& folder, VitVaeConfig& config);

} // namespace mc::model
