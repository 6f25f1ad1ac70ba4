// SPDX-License-Identifier: LGPL-2.1-or-later
#include "tests/model/published.h"

#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <stdexcept>

namespace mc::test {

using nlohmann::json;

const PublishedTransformer DF_1_3B_540P{
    "SkyReels-V2-DF-1.3B-540P", 1536, 12, 8960, 30, true, 830, 1'435'525'696, "F32", 1, "model"};
const PublishedTransformer DF_14B_540P{
    "SkyReels-V2-DF-14B-540P", 5120, 40, 13824, 40, false, 1095, 14'288'491'584, "F32", 12, "model"};
const PublishedTransformer DF_14B_720P{
    "SkyReels-V2-DF-14B-720P", 5120, 40, 13824, 40, false, 1095, 14'288'491'584, "BF16", 6,
    "diffusion_pytorch_model"};

std::string source_path(const std::string& path) {
    const char* root = std::getenv("MC_SOURCE_ROOT");
    return root ? std::string(root) + "/" + path : path;
}

std::vector<PublishedTensor> published_tensors(const PublishedTransformer& model) {
    const int64_t D = model.width, F = model.ffn;
    std::vector<PublishedTensor> list;
    auto pair = [&](const std::string& original, const std::string& diffusers, std::vector<int64_t> shape) {
        list.push_back({original + ".weight", diffusers + ".weight", shape});
        list.push_back({original + ".bias", diffusers + ".bias", {shape[0]}});
    };
    pair("patch_embedding", "patch_embedding", {D, 16, 1, 2, 2});
    pair("text_embedding.0", "condition_embedder.text_embedder.linear_1", {D, 4096});
    pair("text_embedding.2", "condition_embedder.text_embedder.linear_2", {D, D});
    pair("time_embedding.0", "condition_embedder.time_embedder.linear_1", {D, 256});
    pair("time_embedding.2", "condition_embedder.time_embedder.linear_2", {D, D});
    pair("time_projection.1", "condition_embedder.time_proj", {6 * D, D});
    if (model.fps) {
        list.push_back({"fps_embedding.weight", "fps_embedding.weight", {2, D}});
        pair("fps_projection.0", "fps_projection.net.0.proj", {D, D});
        pair("fps_projection.2", "fps_projection.net.2", {6 * D, D});
    }
    list.push_back({"head.modulation", "scale_shift_table", {1, 2, D}});
    pair("head.head", "proj_out", {64, D});
    for (int64_t i = 0; i < model.layers; i++) {
        std::string b = "blocks." + std::to_string(i) + ".";
        list.push_back({b + "modulation", b + "scale_shift_table", {1, 6, D}});
        for (const char* part : {"q", "k", "v"}) {
            pair(b + "self_attn." + part, b + "attn1.to_" + part, {D, D});
            pair(b + "cross_attn." + part, b + "attn2.to_" + part, {D, D});
        }
        pair(b + "self_attn.o", b + "attn1.to_out.0", {D, D});
        pair(b + "cross_attn.o", b + "attn2.to_out.0", {D, D});
        for (const char* part : {"norm_q", "norm_k"}) {
            list.push_back({b + "self_attn." + part + ".weight", b + "attn1." + part + ".weight", {D}});
            list.push_back({b + "cross_attn." + part + ".weight", b + "attn2." + part + ".weight", {D}});
        }
        pair(b + "norm3", b + "norm2", {D});
        pair(b + "ffn.0", b + "ffn.net.0.proj", {F, D});
        pair(b + "ffn.2", b + "ffn.net.2", {D, F});
    }
    return list;
}

std::vector<PublishedTensor> published_text_encoder(int layers) {
    std::vector<PublishedTensor> list{{"token_embedding.weight", "shared.weight", {256384, 4096}},
                                      {"norm.weight", "encoder.final_layer_norm.weight", {4096}}};
    for (int i = 0; i < layers; i++) {
        std::string o = "blocks." + std::to_string(i) + ".",
                    d = "encoder.block." + std::to_string(i) + ".layer.";
        for (const char* part : {"q", "k", "v", "o"})
            list.push_back(
                {o + "attn." + part + ".weight", d + "0.SelfAttention." + part + ".weight", {4096, 4096}});
        list.push_back({o + "pos_embedding.embedding.weight",
                        d + "0.SelfAttention.relative_attention_bias.weight",
                        {32, 64}});
        list.push_back({o + "norm1.weight", d + "0.layer_norm.weight", {4096}});
        list.push_back({o + "norm2.weight", d + "1.layer_norm.weight", {4096}});
        list.push_back({o + "ffn.gate.0.weight", d + "1.DenseReluDense.wi_0.weight", {10240, 4096}});
        list.push_back({o + "ffn.fc1.weight", d + "1.DenseReluDense.wi_1.weight", {10240, 4096}});
        list.push_back({o + "ffn.fc2.weight", d + "1.DenseReluDense.wo.weight", {4096, 10240}});
    }
    return list;
}

std::vector<PublishedTensor> published_vae() {
    std::ifstream in(source_path("tests/model/wan_vae_tensors.txt"));
    if (!in)
        throw std::runtime_error(
            "tests/model/wan_vae_tensors.txt cannot be read; run from the source root or set MC_SOURCE_ROOT");
    std::vector<PublishedTensor> list;
    for (std::string line; std::getline(in, line);) {
        if (line.starts_with("#")) continue;
        std::istringstream words(line);
        PublishedTensor tensor;
        words >> tensor.original >> tensor.diffusers;
        for (int64_t side; words >> side;) tensor.shape.push_back(side);
        list.push_back(tensor);
    }
    return list;
}

namespace {

std::vector<StoredTensor> stored(const std::vector<PublishedTensor>& tensors, bool original,
                                 const std::string& dtype) {
    std::vector<StoredTensor> list;
    for (const PublishedTensor& tensor : tensors)
        list.push_back({original ? tensor.original : tensor.diffusers, dtype, tensor.shape, ""});
    return list;
}

std::string shard_name(const std::string& prefix, int shard, int shards) {
    char tail[32];
    std::snprintf(tail, sizeof tail, "-%05d-of-%05d", shard + 1, shards);
    return prefix + tail + ".safetensors";
}

void write_shards(const std::string& folder, const std::string& prefix,
                  const std::vector<StoredTensor>& tensors, int shards, bool index) {
    if (shards == 1) return write_safetensors(folder + "/" + prefix + ".safetensors", tensors);
    json map;
    for (int shard = 0; shard < shards; shard++) {
        std::vector<StoredTensor> part;
        for (size_t i = 0; i < tensors.size(); i++)
            if (int(i * size_t(shards) / tensors.size()) == shard) part.push_back(tensors[i]);
        for (const StoredTensor& tensor : part) map[tensor.name] = shard_name(prefix, shard, shards);
        write_safetensors(folder + "/" + shard_name(prefix, shard, shards), part);
    }
    if (index)
        write_file(folder + "/" + prefix + ".safetensors.index.json",
                   json{{"metadata", json::object()}, {"weight_map", map}}.dump());
}

} // namespace

void write_original_folder(const std::string& folder, const PublishedTransformer& model, int text_layers) {
    json config{{"_class_name", "WanModel"},
                {"_diffusers_version", "0.31.0"},
                {"model_type", "t2v"},
                {"dim", model.width},
                {"ffn_dim", model.ffn},
                {"num_heads", model.heads},
                {"num_layers", model.layers},
                {"in_dim", 16},
                {"out_dim", 16},
                {"text_len", 512},
                {"freq_dim", 256},
                {"eps", 1e-6}};
    if (model.fps) config["inject_sample_info"] = true;
    write_file(folder + "/config.json", config.dump());
    std::vector<StoredTensor> tensors = stored(published_tensors(model), true, model.dtype);
    if (model.original_shards > 1)
        tensors.push_back({std::string("model_type.") + model.name, "F32", {1}, ""});
    write_shards(folder, model.shard_prefix, tensors, model.original_shards, false);
    write_pth(folder + "/Wan2.1_VAE.pth", stored(published_vae(), true, "F32"));
    write_pth(folder + "/models_t5_umt5-xxl-enc-bf16.pth", stored(published_text_encoder(text_layers), true, "BF16"));
    write_file(folder + "/google/umt5-xxl/spiece.model", "stands for the tokenizer");
}

void write_diffusers_folder(const std::string& folder, const PublishedTransformer& model, int text_layers) {
    write_file(folder + "/model_index.json", R"({"_class_name": "SkyReelsV2DiffusionForcingPipeline"})");
    json transformer{{"_class_name", "SkyReelsV2Transformer3DModel"},
                     {"added_kv_proj_dim", nullptr},
                     {"attention_head_dim", 128},
                     {"cross_attn_norm", true},
                     {"eps", 1e-6},
                     {"ffn_dim", model.ffn},
                     {"freq_dim", 256},
                     {"image_dim", nullptr},
                     {"in_channels", 16},
                     {"inject_sample_info", model.fps},
                     {"num_attention_heads", model.heads},
                     {"num_frame_per_block", 1},
                     {"num_layers", model.layers},
                     {"out_channels", 16},
                     {"patch_size", {1, 2, 2}},
                     {"pos_embed_seq_len", nullptr},
                     {"qk_norm", "rms_norm_across_heads"},
                     {"rope_max_seq_len", 1024},
                     {"text_dim", 4096}};
    write_file(folder + "/transformer/config.json", transformer.dump());
    write_shards(folder + "/transformer", "diffusion_pytorch_model",
                 stored(published_tensors(model), false, model.dtype), model.width == 1536 ? 2 : 12, true);
    json vae = json::parse(read_file(source_path("tests/golden/data/weights/diffusers/vae/config.json")));
    vae["base_dim"] = 96;
    write_file(folder + "/vae/config.json", vae.dump());
    write_shards(folder + "/vae", "diffusion_pytorch_model", stored(published_vae(), false, "F32"), 1, false);
    json text{{"architectures", {"UMT5EncoderModel"}},
              {"model_type", "umt5"},
              {"d_model", 4096},
              {"d_kv", 64},
              {"d_ff", 10240},
              {"num_heads", 64},
              {"num_layers", text_layers},
              {"vocab_size", 256384},
              {"feed_forward_proj", "gated-gelu"},
              {"layer_norm_epsilon", 1e-6},
              {"relative_attention_num_buckets", 32},
              {"relative_attention_max_distance", 128}};
    write_file(folder + "/text_encoder/config.json", text.dump());
    write_shards(folder + "/text_encoder", "model",
                 stored(published_text_encoder(text_layers), false, "BF16"), 3, true);
    write_file(folder + "/tokenizer/spiece.model", "stands for the tokenizer");
}

} // namespace mc::test
