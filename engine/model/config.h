// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// What a model folder says about itself, as plain numbers. Sizes come from config.json and are checked
// against, or where a layout does not state them inferred from, the shapes of the tensors.
#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "engine/request/fields.h"

namespace mc::model {

struct TransformerConfig {
    int64_t width = 0; // D
    int64_t heads = 0; // N; width / heads = head
    int64_t layers = 0;
    int64_t ffn = 0;         // F
    int64_t in_channels = 0; // C
    int64_t out_channels = 0;
    int64_t text_width = 0;                // of the text encoder's rows
    int64_t text_rows = 512;               // rows of text the model was trained with; missing ones are zero
    int64_t frequencies = 256;             // width of the timestep's sinusoid
    std::array<int64_t, 3> patch{1, 2, 2}; // latent frames, rows, columns of a token
    double eps = 1e-6;
    bool fps_embedding = false;
    int64_t rope_length = 1024; // positions an axis has
    int64_t head() const { return width / heads; }
};

struct VaeConfig {
    int64_t base = 0;                             // channels of the first stage
    int64_t latent_channels = 0;                  // z
    std::vector<int64_t> multipliers;             // per stage
    int64_t residual_blocks = 0;                  // per stage of the encoder; the decoder has one more
    std::vector<bool> temporal_downsample;        // between stages, encoder's order
    std::vector<float> latents_mean, latents_std; // [latent_channels]
    int64_t spatial_factor = 8, temporal_factor = 4;
};

struct TextEncoderConfig {
    int64_t vocabulary = 0, width = 0, heads = 0, head = 0, ffn = 0, layers = 0;
    int64_t buckets = 32, max_distance = 128;
    double eps = 1e-6;
};

using mc::Attention;
using mc::LongVideo;

// Defaults of a request: generation_config.json of the model, else the published defaults of the series,
// which stand here but for the negative prompt (engine/families/skyreels_v2/generation_config.cpp has it) and
// those of the 720P model. Sizes in pixels, lengths in frames; causal_block_size in latent frames.
struct GenerationDefaults {
    std::string negative_prompt;
    int width = 960, height = 544;
    int frame_rate_n = 24, frame_rate_d = 1;
    int num_frames = 97;
    int steps = 30;
    double guidance_scale = 6.0;
    double shift = 8.0;
    int causal_block_size = 1;
    int ar_step = 0;
    int base_num_frames = 97;
    int overlap_history = 17;
    LongVideo long_video = LongVideo::PIXEL;
    int addnoise_condition = 0;
    Attention attention = Attention::FULL;
};

} // namespace mc::model
