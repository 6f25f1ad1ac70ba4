// SPDX-License-Identifier: LGPL-2.1-or-later
#include <string_view>

#include "engine/model/folder_listing.h"
#include "engine/model/read_error.h"
#include "engine/networks/wan_vae/wan_vae_files.h"

namespace mc::model {

namespace {

constexpr int64_t CHANNEL_LIMIT = 65536;
constexpr size_t STAGE_LIMIT = 8;
constexpr const char* USE_WAN21 = "use the VAE of Wan 2.1, which SkyReels-V2 was trained with";

// Wan 2.1's latents have these means and deviations, one per channel (docs/algorithms.md#vae-normalisation);
// its weight file does not carry them.
const std::vector<float> LATENTS_MEAN{-0.7571f, -0.7089f, -0.9113f, 0.1075f,  -0.1745f, 0.9653f,
                                      -0.1517f, 1.5508f,  0.4134f,  -0.0715f, 0.5517f,  -0.3632f,
                                      -0.1922f, -0.9497f, 0.2503f,  -0.2921f};
const std::vector<float> LATENTS_STD{2.8184f, 1.4541f, 2.3275f, 2.6558f, 1.2196f, 1.7708f, 2.6052f, 2.0743f,
                                     3.2687f, 2.1526f, 2.8652f, 1.5579f, 1.6382f, 1.1253f, 2.8251f, 1.9160f};

void set_factors(VaeConfig& config) {
    config.spatial_factor = static_cast<int64_t>(1) << (config.multipliers.size() - 1);
    config.temporal_factor = 1;
    for (bool halves : config.temporal_downsample)
        if (halves) config.temporal_factor *= 2;
}

void require_absent(const JsonObject& config, const std::string& key) {
    if (config.has(key)) config.refuse(key, "null: others belong to the VAE of Wan 2.2", USE_WAN21);
}

std::vector<float> read_statistic(const JsonObject& config, const std::string& key, int64_t channels,
                                  double least) {
    std::vector<float> values;
    for (double value : config.numbers(key)) {
        if (!(value >= least && value <= 1e6))
            config.refuse(key, "a number for each latent channel, in their range");
        values.push_back(static_cast<float>(value));
    }
    if (static_cast<int64_t>(values.size()) != channels)
        config.refuse(key, std::to_string(channels) + " numbers, one for each latent channel");
    return values;
}

// Builds the list of tensors in both namings at once.
class List {
  public:
    std::vector<ExpectedTensor> tensors;

    void convolution(const std::string& name, const std::string& original, std::vector<int64_t> shape) {
        int64_t out = shape[0];
        tensors.push_back({name + ".weight", original + ".weight", std::move(shape)});
        tensors.push_back({name + ".bias", original + ".bias", {out}});
    }
    void norm(const std::string& name, const std::string& original, std::vector<int64_t> shape) {
        tensors.push_back({name + ".gamma", original + ".gamma", std::move(shape)});
    }
    void residual(const std::string& name, const std::string& original, int64_t in, int64_t out) {
        norm(name + ".norm1", original + ".residual.0", {in, 1, 1, 1});
        convolution(name + ".conv1", original + ".residual.2", {out, in, 3, 3, 3});
        norm(name + ".norm2", original + ".residual.3", {out, 1, 1, 1});
        convolution(name + ".conv2", original + ".residual.6", {out, out, 3, 3, 3});
        if (in != out) convolution(name + ".conv_shortcut", original + ".shortcut", {out, in, 1, 1, 1});
    }
    void middle(const std::string& side, int64_t channels) {
        const std::string name = side + ".mid_block.", original = side + ".middle.";
        residual(name + "resnets.0", original + "0", channels, channels);
        norm(name + "attentions.0.norm", original + "1.norm", {channels, 1, 1});
        convolution(name + "attentions.0.to_qkv", original + "1.to_qkv", {3 * channels, channels, 1, 1});
        convolution(name + "attentions.0.proj", original + "1.proj", {channels, channels, 1, 1});
        residual(name + "resnets.1", original + "2", channels, channels);
    }
    void head(const std::string& side, int64_t in, int64_t out) {
        norm(side + ".norm_out", side + ".head.0", {in, 1, 1, 1});
        convolution(side + ".conv_out", side + ".head.2", {out, in, 3, 3, 3});
    }
};

void add_encoder(List& list, const VaeConfig& config) {
    list.convolution("encoder.conv_in", "encoder.conv1", {config.base, 3, 3, 3, 3});
    int64_t channels = config.base;
    int index = 0;
    auto next = [&] { return std::to_string(index++); };
    for (size_t stage = 0; stage < config.multipliers.size(); stage++) {
        int64_t out = config.base * config.multipliers[stage];
        for (int64_t i = 0; i < config.residual_blocks; i++, channels = out) {
            std::string n = next();
            list.residual("encoder.down_blocks." + n, "encoder.downsamples." + n, channels, out);
        }
        if (stage + 1 == config.multipliers.size()) break;
        std::string n = next(), name = "encoder.down_blocks." + n, original = "encoder.downsamples." + n;
        list.convolution(name + ".resample.1", original + ".resample.1", {out, out, 3, 3});
        if (config.temporal_downsample[stage])
            list.convolution(name + ".time_conv", original + ".time_conv", {out, out, 3, 1, 1});
    }
    list.middle("encoder", channels);
    list.head("encoder", channels, 2 * config.latent_channels);
}

void add_decoder(List& list, const VaeConfig& config) {
    const size_t stages = config.multipliers.size();
    int64_t channels = config.base * config.multipliers.back();
    list.convolution("decoder.conv_in", "decoder.conv1", {channels, config.latent_channels, 3, 3, 3});
    list.middle("decoder", channels);
    int index = 0;
    for (size_t stage = 0; stage < stages; stage++) {
        int64_t out = config.base * config.multipliers[stages - 1 - stage];
        const std::string block = "decoder.up_blocks." + std::to_string(stage) + ".";
        for (int64_t i = 0; i <= config.residual_blocks; i++, channels = out)
            list.residual(block + "resnets." + std::to_string(i),
                          "decoder.upsamples." + std::to_string(index++), channels, out);
        if (stage + 1 == stages) break;
        const std::string name = block + "upsamplers.0",
                          original = "decoder.upsamples." + std::to_string(index++);
        list.convolution(name + ".resample.1", original + ".resample.1", {out / 2, out, 3, 3});
        if (config.temporal_downsample[stages - 2 - stage])
            list.convolution(name + ".time_conv", original + ".time_conv", {2 * out, out, 3, 1, 1});
        channels = out / 2;
    }
    list.head("decoder", channels, 3);
}

} // namespace

VaeConfig read_vae_config(const JsonObject& config) {
    if (config.text("_class_name") != "AutoencoderKLWan")
        config.refuse("_class_name", "\"AutoencoderKLWan\"", USE_WAN21);
    if (config.has("is_residual") && config.boolean("is_residual"))
        config.refuse("is_residual", "false: true is the VAE of Wan 2.2", USE_WAN21);
    require_absent(config, "patch_size");
    require_absent(config, "decoder_base_dim");
    if (config.has("attn_scales") && !config.numbers("attn_scales").empty())
        config.refuse("attn_scales", "an empty list");
    for (const char* key : {"in_channels", "out_channels"})
        if (config.has(key)) config.integer(key, 3, 3);

    VaeConfig read;
    read.base = config.integer("base_dim", 1, CHANNEL_LIMIT);
    read.latent_channels = config.integer("z_dim", 1, 4096);
    read.multipliers = config.integers("dim_mult", 1, 64);
    read.residual_blocks = config.integer("num_res_blocks", 1, 64);
    read.temporal_downsample = config.booleans("temperal_downsample");
    if (read.multipliers.size() < 2 || read.multipliers.size() > STAGE_LIMIT)
        config.refuse("dim_mult", "2 to " + std::to_string(STAGE_LIMIT) + " numbers, one per stage");
    if (read.temporal_downsample.size() + 1 != read.multipliers.size())
        config.refuse("temperal_downsample", "one entry less than dim_mult");
    // The decoder halves the channels between its stages.
    for (size_t stage = 1; stage < read.multipliers.size(); stage++)
        if (read.base * read.multipliers[stage] % 2)
            config.refuse("base_dim", "even channels in every stage after the first");
    read.latents_mean = read_statistic(config, "latents_mean", read.latent_channels, -1e6);
    read.latents_std = read_statistic(config, "latents_std", read.latent_channels, 1e-6);
    set_factors(read);
    if (config.has("scale_factor_spatial"))
        config.integer("scale_factor_spatial", read.spatial_factor, read.spatial_factor);
    if (config.has("scale_factor_temporal"))
        config.integer("scale_factor_temporal", read.temporal_factor, read.temporal_factor);
    return read;
}

VaeConfig infer_vae_config(const TensorMap& tensors, const std::string& origin) {
    if (tensors.count("encoder.downsamples.0.downsamples.0.residual.0.gamma"))
        throw read_error(origin, "is the VAE of Wan 2.2", USE_WAN21);
    VaeConfig read;
    read.base = side_of(tensors, "encoder.conv1.weight", 5, 0, origin);
    read.latent_channels = side_of(tensors, "conv2.weight", 5, 0, origin);
    if (read.latent_channels != static_cast<int64_t>(LATENTS_MEAN.size()))
        throw read_error(
            origin, "is a VAE of " + std::to_string(read.latent_channels) + " latent channels, expected 16",
            USE_WAN21);
    read.latents_mean = LATENTS_MEAN;
    read.latents_std = LATENTS_STD;

    // downsamples.N is a residual block or, between two stages, a resampling one.
    int64_t blocks = 0, channels = 0;
    for (int index = 0;; index++) {
        const std::string block = "encoder.downsamples." + std::to_string(index);
        if (tensors.count(block + ".residual.2.weight")) {
            channels = side_of(tensors, block + ".residual.2.weight", 5, 0, origin);
            blocks++;
            continue;
        }
        bool resamples = tensors.count(block + ".resample.1.weight");
        if (blocks == 0 || channels % read.base || read.multipliers.size() == STAGE_LIMIT)
            throw read_error(
                origin, "is not the VAE of Wan 2.1: the stages of its encoder cannot be determined", USE_WAN21);
        read.multipliers.push_back(channels / read.base);
        read.residual_blocks = read.multipliers.size() == 1 ? blocks : read.residual_blocks;
        blocks = 0;
        if (!resamples) break;
        read.temporal_downsample.push_back(tensors.count(block + ".time_conv.weight"));
    }
    if (read.multipliers.size() < 2)
        throw read_error(origin, "is not the VAE of Wan 2.1: its encoder has one stage", USE_WAN21);
    set_factors(read);
    return read;
}

std::vector<ExpectedTensor> vae_tensors(const VaeConfig& config) {
    List list;
    add_encoder(list, config);
    const int64_t z = config.latent_channels;
    list.convolution("quant_conv", "conv1", {2 * z, 2 * z, 1, 1, 1});
    list.convolution("post_quant_conv", "conv2", {z, z, 1, 1, 1});
    add_decoder(list, config);
    return std::move(list.tensors);
}

TensorRules vae_rules() {
    return {"VAE", USE_WAN21};
}

std::unique_ptr<Tensors> open_vae(const std::string& path, VaeConfig& config) {
    const bool single = is_file(path);
    WeightFiles weights{};
    if (single) {
        weights = open_weight_file(path);
        config = infer_vae_config(weights.tensors, path);
    } else {
        config = read_vae_config(JsonObject::read(path + "/config.json"));
        weights = open_weight_shards(path);
    }
    return name_tensors(std::move(weights), single ? Layout::ORIGINAL : Layout::DIFFUSERS,
                        vae_tensors(config), vae_rules());
}

} // namespace mc::model
