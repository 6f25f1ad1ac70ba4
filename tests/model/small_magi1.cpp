// SPDX-License-Identifier: LGPL-2.1-or-later
#include "tests/model/small_magi1.h"

#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <random>

#include "engine/networks/t5/t5_files.h"
#include "engine/networks/vit_vae/vit_vae_files.h"
#include "tests/model/published.h"
#include "tests/networks/magi_dit/random_network.h"

namespace mc::test {

namespace {

using nlohmann::json;

// Matrices by the width of their rows, gains near 1, so that numbers neither die out nor grow.
std::vector<StoredTensor> random_weights(const std::vector<model::ExpectedTensor>& expected) {
    std::mt19937_64 engine(11);
    std::normal_distribution<float> normal;
    std::vector<StoredTensor> list;
    for (const model::ExpectedTensor& t : expected) {
        int64_t count = 1;
        for (int64_t side : t.shape) count *= side;
        const bool gain = t.shape.size() == 1 && t.name.ends_with("weight");
        const float size = t.shape.size() > 1 ? 1 / std::sqrt(float(count / t.shape[0])) : 0.05f;
        StoredTensor stored{t.name, "F32", t.shape, {}};
        for (int64_t i = 0; i < count; i++) {
            const float x = (gain ? 1.f : 0.f) + size * normal(engine);
            stored.data.append(reinterpret_cast<const char*>(&x), sizeof x);
        }
        list.push_back(std::move(stored));
    }
    return list;
}

json vae_config(int64_t channels) {
    return {{"model_type", "vit"},
            {"ddconfig",
             {{"embed_dim", 256},
              {"depth", 1},
              {"num_heads", 4},
              {"mlp_ratio", 1.0},
              {"z_chans", channels},
              {"patch_size", 8},
              {"patch_length", 4},
              {"video_size", 32},
              {"video_length", 8},
              {"in_chans", 3},
              {"double_z", true},
              {"qkv_bias", true},
              {"with_cls_token", true},
              {"ln_in_attn", true},
              {"conv_last_layer", true},
              {"norm_code", false},
              {"use_rope", false},
              {"use_final_proj", false}}}};
}

json t5_config(int64_t width) {
    return {{"model_type", "t5"},
            {"feed_forward_proj", "gated-gelu"},
            {"vocab_size", 420},
            {"d_model", width},
            {"num_heads", 4},
            {"d_kv", 8},
            {"d_ff", 48},
            {"num_layers", 2},
            {"relative_attention_num_buckets", 32},
            {"relative_attention_max_distance", 128},
            {"layer_norm_epsilon", 1e-6}};
}

// An array of numpy's, float64.
std::string npy(const std::vector<int64_t>& shape, std::mt19937_64& engine) {
    std::normal_distribution<double> normal;
    std::string sides;
    int64_t count = 1;
    for (int64_t side : shape) sides += std::to_string(side) + ", ", count *= side;
    std::string header = "{'descr': '<f8', 'fortran_order': False, 'shape': (" + sides + "), }";
    header.resize((10 + header.size() + 64) / 64 * 64 - 10 - 1, ' ');
    header += '\n';
    std::string bytes =
        std::string("\x93NUMPY\x01\x00", 8) + char(header.size() & 255) + char(header.size() >> 8) + header;
    for (int64_t i = 0; i < count; i++) {
        const double x = normal(engine);
        bytes.append(reinterpret_cast<const char*>(&x), sizeof x);
    }
    return bytes;
}

void write_special_tokens(const std::string& file, int64_t width) {
    std::mt19937_64 engine(3);
    ZipWriter zip(file);
    zip.add("caption_token.npy", npy({1, width}, engine));
    zip.add("logo_token.npy", npy({1, width}, engine));
    zip.add("other_tokens.npy", npy({100, width}, engine));
    zip.finish();
}

json model_config(const model::MagiDitConfig& c) {
    return {{"model_name", "videodit_ardf"},
            {"num_layers", c.layers},
            {"hidden_size", c.width},
            {"ffn_hidden_size", c.ffn},
            {"num_attention_heads", c.heads},
            {"num_query_groups", c.groups},
            {"kv_channels", c.head()},
            {"layernorm_epsilon", c.eps},
            {"apply_layernorm_1p", true},
            {"x_rescale_factor", c.rescale},
            {"half_channel_vae", c.doubled},
            {"params_dtype", "torch.bfloat16"},
            {"patch_size", 2},
            {"t_patch_size", 1},
            {"in_channels", c.in_channels},
            {"out_channels", c.out_channels},
            {"cond_hidden_ratio", double(c.condition) / double(c.width)},
            {"caption_channels", c.text_width},
            {"caption_max_length", c.text_rows},
            {"xattn_cond_hidden_ratio", 1.0},
            {"cond_gating_ratio", 1.0},
            {"gated_linear_unit", c.gated}};
}

} // namespace

std::string write_small_magi1(const std::string& folder, const SmallMagi1& kind) {
    model::MagiDitConfig c = small_magi_dit(kind.large, kind.fp8);
    if (kind.layers) c.layers = kind.layers;
    c.distilled = kind.distilled;
    write_safetensors(folder + "/weights/" + model::magi_dit_folder(c) + "/model.safetensors",
                      random_tensors(c));

    const json vae = vae_config(c.latent_channels());
    write_file(folder + "/vae/config.json", vae.dump(2));
    write_safetensors(folder + "/vae/diffusion_pytorch_model.safetensors",
                      random_weights(model::vit_vae_tensors(
                          model::read_vit_vae_config(model::JsonObject::parse(vae.dump(), "config.json")))));

    const json t5 = t5_config(c.text_width);
    const std::string text = folder + "/t5/t5-v1_1-xxl";
    write_file(text + "/config.json", t5.dump(2));
    write_safetensors(text + "/model.safetensors",
                      random_weights(model::text_encoder_tensors(model::read_t5_text_encoder_config(
                          model::JsonObject::parse(t5.dump(), "config.json")))));
    write_file(text + "/spiece.model", read_file(source_path("models/demo/tokenizer/spiece.model")));
    write_special_tokens(folder + "/special_tokens.npz", c.text_width);

    const json runtime{{"cfg_number", kind.distilled || kind.fp8 ? 1 : 3},
                       {"cfg_t_range", {0.0, 0.0217, 0.1, 0.3, 0.999}},
                       {"prev_chunk_scales", {1.5, 1.5, 1.5, 1.0, 1.0}},
                       {"text_scales", {7.5, 7.5, 7.5, 0.0, 0.0}},
                       {"noise2clean_kvrange", kind.noise2clean},
                       {"clean_chunk_kvrange", 1},
                       {"clean_t", 0.9999},
                       {"seed", 1234},
                       {"num_frames", 96},
                       {"video_size_h", kind.height},
                       {"video_size_w", kind.width},
                       {"num_steps", kind.steps},
                       {"window_size", 4},
                       {"fps", 24},
                       {"chunk_width", 6},
                       {"load", "./weights"},
                       {"t5_pretrained", "./t5"},
                       {"t5_device", "cpu"},
                       {"vae_pretrained", "./vae"},
                       {"scale_factor", 0.18215},
                       {"temporal_downsample_factor", 4}};
    const json engine{{"distill", kind.distilled},
                      {"fp8_quant", kind.fp8},
                      {"distill_nearly_clean_chunk_threshold", 0.3},
                      {"shortcut_mode", "8,16,16"}};
    const std::string file = folder + "/small.json";
    write_file(
        file,
        json{{"model_config", model_config(c)}, {"runtime_config", runtime}, {"engine_config", engine}}.dump(
            2));
    return file;
}

} // namespace mc::test
