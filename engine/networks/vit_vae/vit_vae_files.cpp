// SPDX-License-Identifier: LGPL-2.1-or-later
#include "engine/networks/vit_vae/vit_vae_files.h"

#include <cmath>

#include "engine/model/weight_files.h"

namespace mc::model {

namespace {

constexpr int64_t WIDTH_LIMIT = 65536, LAYER_LIMIT = 1024;
constexpr const char* PUBLISHED = "use the VAE that comes with MAGI-1 (ViT VAE)";

void require_flag(const JsonObject& config, const std::string& key, bool value) {
    if (config.boolean(key) != value) config.refuse(key, value ? "true" : "false", PUBLISHED);
}

} // namespace

VitVaeConfig read_vit_vae_config(const JsonObject& file) {
    if (file.text("model_type") != "vit") file.refuse("model_type", "\"vit\"", PUBLISHED);
    const JsonObject config = file.object("ddconfig");
    VitVaeConfig read;
    read.width = config.integer("embed_dim", 1, WIDTH_LIMIT);
    read.layers = config.integer("depth", 1, LAYER_LIMIT);
    read.heads = config.integer("num_heads", 1, WIDTH_LIMIT);
    if (read.width % read.heads) config.refuse("num_heads", "a divisor of embed_dim");
    read.ffn = static_cast<int64_t>(config.number("mlp_ratio", 1e-3, 64) * static_cast<double>(read.width));
    if (read.ffn < 1) config.refuse("mlp_ratio", "a hidden layer of at least one channel");
    read.latent_channels = config.integer("z_chans", 1, WIDTH_LIMIT);
    const int64_t side = config.integer("patch_size", 1, 256),
                  frames = config.integer("patch_length", 1, 256);
    read.patch = {frames, side, side};
    if (read.width % read.patch_pixels())
        config.refuse("embed_dim", "a multiple of the " + std::to_string(read.patch_pixels()) +
                                       " pixels that a token stands for");
    const int64_t size = config.integer("video_size", side, 65536),
                  length = config.integer("video_length", frames, 65536);
    if (size % side) config.refuse("video_size", "a multiple of patch_size");
    if (length % frames) config.refuse("video_length", "a multiple of patch_length");
    read.grid = {length / frames, size / side, size / side};
    if (config.integer("in_chans", 1, 64) != 3) config.refuse("in_chans", "3", PUBLISHED);
    for (const char* flag : {"double_z", "qkv_bias", "with_cls_token", "ln_in_attn", "conv_last_layer"})
        require_flag(config, flag, true);
    for (const char* flag : {"norm_code", "use_rope", "use_final_proj"}) require_flag(config, flag, false);
    return read;
}

std::vector<ExpectedTensor> vit_vae_tensors(const VitVaeConfig& c) {
    std::vector<ExpectedTensor> list;
    const int64_t D = c.width, tokens = c.grid[0] * c.grid[1] * c.grid[2];
    auto tensor = [&](const std::string& name, std::vector<int64_t> shape) {
        list.push_back({name, name, std::move(shape)});
    };
    auto both = [&](const std::string& name, std::vector<int64_t> shape) {
        tensor(name + ".bias", {shape.front()});
        tensor(name + ".weight", std::move(shape));
    };
    for (const std::string half : {"encoder.", "decoder."}) {
        tensor(half + "cls_token", {1, 1, D});
        tensor(half + "pos_embed", {1, 1 + tokens, D});
        for (int64_t i = 0; i < c.layers; i++) {
            const std::string block = half + "blocks." + std::to_string(i) + ".";
            both(block + "attn.qkv", {3 * D, D});
            both(block + "attn.proj", {D, D});
            both(block + "norm2", {D});
            both(block + "mlp.fc1", {c.ffn, D});
            both(block + "mlp.fc2", {D, c.ffn});
        }
        both(half + "norm", {D});
    }
    both("encoder.patch_embed.proj", {D, 3, c.patch[0], c.patch[1], c.patch[2]});
    both("encoder.last_layer", {2 * c.latent_channels, D}); // mean, logarithm of the variance
    both("decoder.proj_in", {D, c.latent_channels});
    both("decoder.last_layer", {3, c.pixel_channels(), 3, 3, 3});
    return list;
}

std::unique_ptr<Tensors> open_vit_vae(const std::string& folder, VitVaeConfig& config) {
    config = read_vit_vae_config(JsonObject::read(folder + "/config.json"));
    return name_tensors(open_weight_shards(folder), Layout::DIFFUSERS, vit_vae_tensors(config),
                        {"VAE", PUBLISHED});
}

} // namespace mc::model
