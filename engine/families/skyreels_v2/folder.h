// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// A published SkyReels-V2 folder, opened without Torch: where its parts lie, and whether they fit together. The rest of
// the engine sees one naming: the Diffusers names (docs/algorithms.md#tensor-names), however the files name their
// tensors.
//
//   original    config.json + *.safetensors shards, Wan2.1_VAE.pth, models_t5_*.pth, google/umt5-xxl/spiece.model
//   diffusers   model_index.json, transformer/, vae/, text_encoder/, tokenizer/spiece.model
//
// Not read: scheduler/scheduler_config.json, whose flow_shift is 1.0 in published folders while the models
// are meant to be sampled with 8.0 or 5.0 (docs/algorithms.md#time-grid); shift is a setting of the request.
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/families/skyreels_v2/generation_config.h"
#include "engine/model/claim.h"
#include "engine/model/pictures.h"
#include "engine/model/tensors.h"
#include "engine/networks/t5/config.h"
#include "engine/networks/wan_dit/config.h"
#include "engine/networks/wan_vae/config.h"

namespace mc::model::skyreels_v2 {

// Whether the folder is one, by its model_index.json or config.json. Throws MC_ERROR_READ for one part of a model, and
// for those of the series that are not supported.
std::optional<Claim> claim(const std::string& folder);
PictureSizes pictures(const std::string& folder);

// What the JSON files alone say: no weight file is looked at. Of the configs, what the weights tell is missing:
// text_width in the original layout.
struct FolderOutline {
    TransformerConfig transformer;
    VaeConfig vae;
    GenerationDefaults defaults;
};
// All that the folder may be as far as the JSON files tell; it is one of these. Throws as Folder::open.
std::vector<FolderOutline> outlines(const std::string& folder);

class Folder : public FolderOutline {
  public:
    // Reads configs and headers of weight files, never their data: milliseconds. Throws MC_ERROR_NOT_FOUND,
    // MC_ERROR_READ.
    static std::unique_ptr<Folder> open(const std::string& folder);

    std::string path;
    Layout layout{};
    TextEncoderConfig text_encoder;
    std::string tokenizer_file; // spiece.model

    // Each opens and checks its weight files: all expected tensors, exactly once, of the expected shape,
    // nothing unknown (marker tensors "model_type.*" are passed over).
    std::unique_ptr<Tensors> transformer_tensors() const;
    std::unique_ptr<Tensors> vae_tensors() const;
    std::unique_ptr<Tensors> text_encoder_tensors() const;

  private:
    struct Parts {
        std::string transformer, vae, text_encoder, tokenizer;
    } parts_;
    static Parts find_parts(const std::string& folder, Layout layout);
    void require_fit() const;
};

} // namespace mc::model::skyreels_v2
