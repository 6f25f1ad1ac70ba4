// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// A model folder in either published layout, opened without Torch. The rest of the engine sees one naming:
// the Diffusers names (docs/algorithms.md#tensor-names), however the files name their tensors.
//
//   original    config.json + *.safetensors shards, Wan2.1_VAE.pth, models_t5_*.pth, google/umt5-xxl/spiece.model
//   diffusers   model_index.json, transformer/, vae/, text_encoder/, tokenizer/spiece.model
//
// Not read: scheduler/scheduler_config.json, whose flow_shift is 1.0 in published folders while the models
// are meant to be sampled with 8.0 or 5.0 (docs/algorithms.md#time-grid); shift is a setting of the request.
//
// Every failure is an mc::Error with the file's path, what is wrong with it and the remedy:
// MC_ERROR_NOT_FOUND for what is not there, MC_ERROR_READ for what is not as it should be.
#include <memory>
#include <string>
#include <vector>

#include "engine/model/config.h"
#include "engine/model/tensors.h"

namespace mc::model {

// What the JSON files alone say: no weight file is looked at. Of the configs, what the weights tell is missing:
// text_width in the original layout.
struct FolderOutline {
    TransformerConfig transformer;
    VaeConfig vae;
    GenerationDefaults defaults;
};
// What the folder may be as far as they tell; one of these it is. Throws as ModelFolder::open.
std::vector<FolderOutline> outlines(const std::string& path);

class ModelFolder : public FolderOutline {
  public:
    // Reads configs and headers of weight files, never their data: milliseconds. `path` is the folder.
    static std::unique_ptr<ModelFolder> open(const std::string& path);
    virtual ~ModelFolder() = default;

    std::string path;
    Layout layout{};
    std::string family; // "skyreels_v2"
    TextEncoderConfig text_encoder;
    std::string tokenizer_file; // spiece.model

    // Each opens and checks its weight files: all expected tensors, exactly once, of the expected shape,
    // nothing unknown (marker tensors "model_type.*" are passed over).
    virtual std::unique_ptr<Tensors> transformer_tensors() const = 0;
    virtual std::unique_ptr<Tensors> vae_tensors() const = 0;
    virtual std::unique_ptr<Tensors> text_encoder_tensors() const = 0;
};

// For tests and tools that have one network without the rest of a model. Each fills `config`.
// Transformer: a folder with config.json and safetensors, either layout.
std::unique_ptr<Tensors> open_transformer(const std::string& path, TransformerConfig& config);
// VAE and text encoder: a folder with config.json and safetensors (Diffusers names), or a .pth file (original names).
std::unique_ptr<Tensors> open_vae(const std::string& path, VaeConfig& config);
std::unique_ptr<Tensors> open_text_encoder(const std::string& path, TextEncoderConfig& config);

} // namespace mc::model
