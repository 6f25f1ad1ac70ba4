#pragma once
// The three networks of SkyReels-V2: how their configs are read and which tensors they have
// (docs/algorithms.md#tensor-names). Names and shapes are the same in both layouts but for the spelling of
// the names.
#include <string>
#include <vector>

#include "engine/model/config.h"
#include "engine/model/json_object.h"
#include "engine/model/tensors.h"

namespace mc::model::skyreels_v2 {

// Config of the transformer; `tensors` by the names of the files, for what the config leaves to their shapes:
// text width of the original layout, fps embedding of both. Refuses the image-to-video models and patches
// other than 1 x 2 x 2. num_frame_per_block is passed over: the mask is a setting of the request, not of the
// model.
Layout transformer_layout(const JsonObject& config); // by its class
TransformerConfig read_transformer_config(const JsonObject& config, const TensorMap& tensors);
std::vector<ExpectedTensor> transformer_tensors(const TransformerConfig& config);
TensorRules transformer_rules();

// Refuses Wan 2.2's VAE (is_residual, patch_size).
VaeConfig read_vae_config(const JsonObject& config);
// The original layout has no config: sizes from the tensors, statistics of the latents as published for
// Wan 2.1.
VaeConfig infer_vae_config(const TensorMap& tensors, const std::string& origin);
std::vector<ExpectedTensor> vae_tensors(const VaeConfig& config);
TensorRules vae_rules();

TextEncoderConfig read_text_encoder_config(const JsonObject& config);
TextEncoderConfig infer_text_encoder_config(const TensorMap& tensors, const std::string& origin);
std::vector<ExpectedTensor> text_encoder_tensors(const TextEncoderConfig& config);
TensorRules text_encoder_rules();

// generation_config.json, ours: whatever it states replaces the field of `defaults`. An unknown field is an
// error that lists the known ones.
void read_generation_config(const JsonObject& config, GenerationDefaults& defaults);
// Defaults of the series (the command line's of the reference, docs/algorithms.md#defaults); `for_720p`: those
// recommended for the 720P models, 1280 x 720 and windows of 121 frames.
GenerationDefaults series_defaults(bool for_720p);

} // namespace mc::model::skyreels_v2
