// SPDX-License-Identifier: LGPL-2.1-or-later
#include "engine/networks/magi_dit/magi_dit_files.h"

#include <algorithm>
#include <cmath>

#include "engine/model/folder_listing.h"
#include "engine/model/read_error.h"

namespace mc::model {

namespace {

constexpr int64_t WIDTH_LIMIT = 65536, LAYER_LIMIT = 1024;
constexpr const char* PUBLISHED = "use the weights of MAGI-1 (4.5B or 24B) as published";
constexpr const char* BLOCKS = "videodit_blocks.";

void require(const JsonObject& config, const std::string& key, int64_t value) {
    if (config.integer(key, 0, WIDTH_LIMIT) != value) config.refuse(key, std::to_string(value), PUBLISHED);
}

void require_ratio(const JsonObject& config, const std::string& key) {
    if (config.number(key, 0, 16) != 1.0) config.refuse(key, "1.0", PUBLISHED);
}

} // namespace

MagiDitConfig read_magi_dit_config(const JsonObject& config, bool fp8, bool distilled) {
    MagiDitConfig read;
    read.layers = config.integer("num_layers", 1, LAYER_LIMIT);
    read.width = config.integer("hidden_size", 8, WIDTH_LIMIT);
    read.ffn = config.integer("ffn_hidden_size", 1, WIDTH_LIMIT * 16);
    read.heads = config.integer("num_attention_heads", 1, WIDTH_LIMIT);
    read.groups = config.integer("num_query_groups", 1, WIDTH_LIMIT);
    read.in_channels = config.integer("in_channels", 1, 4096);
    read.out_channels = config.integer("out_channels", 1, 4096);
    read.text_width = config.integer("caption_channels", 1, WIDTH_LIMIT);
    read.text_rows = config.integer("caption_max_length", 2, WIDTH_LIMIT);
    read.eps = config.number("layernorm_epsilon", 1e-12, 1e-1);
    read.rescale = config.number("x_rescale_factor", 1e-6, 1e6);
    read.doubled = config.boolean("half_channel_vae");
    read.gated = config.boolean("gated_linear_unit");
    read.fp8 = fp8;
    read.distilled = distilled;
    read.condition =
        static_cast<int64_t>(std::llround(config.number("cond_hidden_ratio", 1e-3, 16) * read.width));
    if (read.condition < 1) config.refuse("cond_hidden_ratio", "a condition of at least one channel");

    if (read.heads % read.groups) config.refuse("num_query_groups", "a divisor of num_attention_heads");
    if (read.width % read.heads || config.integer("kv_channels", 1, WIDTH_LIMIT) != read.head())
        config.refuse("kv_channels", "hidden_size / num_attention_heads");
    if (read.head() % 8) config.refuse("kv_channels", "a multiple of 8");
    // Eight groups of channels take turns in the projection, however many heads there are.
    if (read.width % 8) config.refuse("hidden_size", "a multiple of 8");
    if (read.in_channels != read.out_channels)
        config.refuse("out_channels", "as many as in_channels", PUBLISHED);
    if (read.doubled && read.in_channels % 2) config.refuse("in_channels", "an even number");
    require(config, "patch_size", 2);
    require(config, "t_patch_size", 1);
    require_ratio(config, "xattn_cond_hidden_ratio");
    require_ratio(config, "cond_gating_ratio");
    if (!config.boolean("apply_layernorm_1p")) config.refuse("apply_layernorm_1p", "true", PUBLISHED);
    return read;
}

std::vector<ExpectedTensor> magi_dit_tensors(const MagiDitConfig& c) {
    const int64_t D = c.width, keys = c.groups * c.head();
    std::vector<ExpectedTensor> list;
    auto tensor = [&](const std::string& name, std::vector<int64_t> shape) {
        list.push_back({name, name, std::move(shape)});
    };
    auto both = [&](const std::string& name, std::vector<int64_t> shape) {
        tensor(name + ".bias", {shape.front()});
        tensor(name + ".weight", std::move(shape));
    };
    tensor("x_embedder.weight", {D, c.in_channels, 1, 2, 2});
    both("t_embedder.mlp.0", {c.condition, 256});
    both("t_embedder.mlp.2", {c.condition, c.condition});
    tensor("y_embedder.null_caption_embedding", {c.text_rows, c.text_width});
    both("y_embedder.y_proj_xattn.0", {D, c.text_width});
    both("y_embedder.y_proj_adaln.0", {c.condition, c.text_width});
    tensor("rope.bands", {c.bands()});
    tensor("final_linear.linear.weight", {c.out_channels * 4, D});
    both(std::string(BLOCKS) + "final_layernorm", {D});
    for (int64_t i = 0; i < c.layers; i++) {
        const bool fp8 = c.fp8 && i > 0 && i + 1 < c.layers;
        const std::string layer = BLOCKS + ("layers." + std::to_string(i) + ".");
        // Rows of `in` of eight bits are divided by one scale per channel; `smoothed` ones by another tensor, and
        // their input_scale belongs to the product alone.
        auto product = [&](const std::string& name, int64_t out, int64_t in, bool smoothed) {
            if (!fp8) return tensor(layer + name + ".weight", {out, in});
            list.push_back({layer + name + ".weight", layer + name + ".weight", {1, out, in}, true});
            tensor(layer + name + ".weight_scale", {1});
            tensor(layer + name + ".input_scale", {smoothed ? 1 : in});
            if (smoothed) tensor(layer + name + ".smooth_scale", {1, in});
        };
        both(layer + "ada_modulate_layer.proj.0", {2 * D, c.condition});
        const std::string attention = "self_attention.";
        both(layer + attention + "linear_qkv.layer_norm", {D});
        product(attention + "linear_qkv.q", D, D, false);
        product(attention + "linear_qkv.qx", D, D, false);
        product(attention + "linear_qkv.k", keys, D, false);
        product(attention + "linear_qkv.v", keys, D, false);
        tensor(layer + attention + "linear_kv_xattn.weight", {2 * keys, D});
        product(attention + "linear_proj", D, 2 * D, true);
        for (const char* norm : {"q_layernorm", "k_layernorm", "q_layernorm_xattn", "k_layernorm_xattn"})
            both(layer + attention + norm, {c.head()});
        both(layer + "self_attn_post_norm", {D});
        both(layer + "mlp.layer_norm", {D});
        product("mlp.linear_fc1", c.gated ? 2 * c.ffn : c.ffn, D, false);
        product("mlp.linear_fc2", D, c.ffn, true);
        both(layer + "mlp_post_norm", {D});
    }
    return list;
}

std::string magi_dit_folder(const MagiDitConfig& config) {
    return std::string("inference_weight") + (config.fp8 ? ".fp8" : "") +
           (config.distilled ? ".distill" : "");
}

std::unique_ptr<Tensors> open_magi_dit(const std::string& folder, const MagiDitConfig& config) {
    const std::vector<std::string> names = list_folder(folder).names; // sorted
    for (const std::string& name : names)
        if (name.ends_with(".safetensors.zst") &&
            !std::binary_search(names.begin(), names.end(), name.substr(0, name.size() - 4)))
            throw read_error(folder + "/" + name, "is compressed (zstd), which is not read",
                             "unpack it: zstd -d --rm " + name);
    WeightFiles files = open_weight_shards(folder);
    if (files.tensors.count(std::string(BLOCKS) + "layers.self_attention.linear_qkv.weight"))
        throw read_error(folder,
                         "holds the layers in one piece (the packing of MAGI-1.1), which is not supported",
                         "use the weights of MAGI-1 (4.5B or 24B), not those of MAGI-1.1");
    return name_tensors(std::move(files), Layout::ORIGINAL, magi_dit_tensors(config), {"transformer", PUBLISHED});
}

} // namespace mc::model
