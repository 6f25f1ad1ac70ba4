// SPDX-License-Identifier: LGPL-2.1-or-later
#include <string_view>

#include "engine/networks/wan_dit/wan_dit_files.h"
#include "engine/model/read_error.h"

namespace mc::model {

namespace {

constexpr int64_t WIDTH_LIMIT = 65536, LAYER_LIMIT = 1024;
constexpr const char* DIFFUSERS_CLASS = "SkyReelsV2Transformer3DModel";
constexpr const char* ORIGINAL_CLASS = "WanModel";
constexpr const char* USE_DF =
    "use a Diffusion Forcing model (SkyReels-V2-DF-1.3B-540P, DF-14B-540P or DF-14B-720P)";

[[noreturn]] void refuse_image_to_video(const JsonObject& config) {
    throw read_error(config.file(),
                     "describes an image-to-video model (I2V: 36 input channels and an image encoder), which "
                     "is not supported",
                     USE_DF);
}

void require_null(const JsonObject& config, const std::string& key) {
    if (config.has(key)) config.refuse(key, "null", USE_DF);
}

// `tensors` may be null here and below: then what they say stays unread.
void read_common(const JsonObject& config, const TensorMap* tensors, TransformerConfig& read) {
    if (read.in_channels == 36) refuse_image_to_video(config);
    if (read.in_channels != read.out_channels)
        throw read_error(config.file(),
                         "describes a model of " + std::to_string(read.in_channels) + " input and " +
                             std::to_string(read.out_channels) + " output channels, expected as many",
                         USE_DF);
    if (read.width % read.heads || read.head() % 2)
        throw read_error(config.file(),
                         "describes a width of " + std::to_string(read.width) + " in " +
                             std::to_string(read.heads) +
                             " heads, expected an even number of channels in each head",
                         "correct the file or download it again");
    if (read.frequencies % 2) config.refuse("freq_dim", "an even number");
    read.eps = config.number("eps", 1e-12, 1e-1);
    if (!tensors) {
        read.fps_embedding = config.has("inject_sample_info") && config.boolean("inject_sample_info");
        return;
    }
    read.fps_embedding = tensors->count("fps_embedding.weight") != 0;
    if (config.has("inject_sample_info") && config.boolean("inject_sample_info") != read.fps_embedding)
        config.refuse("inject_sample_info", read.fps_embedding
                                                ? "true, as the weights hold an fps embedding"
                                                : "false, as the weights hold no fps embedding");
}

TransformerConfig read_original(const JsonObject& config, const TensorMap* tensors) {
    std::string type = config.text("model_type");
    if (type == "i2v") refuse_image_to_video(config);
    if (type != "t2v") config.refuse("model_type", "\"t2v\"", USE_DF);
    TransformerConfig read;
    read.width = config.integer("dim", 2, WIDTH_LIMIT);
    read.heads = config.integer("num_heads", 1, WIDTH_LIMIT);
    read.layers = config.integer("num_layers", 1, LAYER_LIMIT);
    read.ffn = config.integer("ffn_dim", 1, WIDTH_LIMIT * 16);
    read.in_channels = config.integer("in_dim", 1, 4096);
    read.out_channels = config.integer("out_dim", 1, 4096);
    read.frequencies = config.integer("freq_dim", 2, WIDTH_LIMIT);
    read.text_rows = config.integer("text_len", 1, 65536);
    if (tensors) read.text_width = side_of(*tensors, "text_embedding.0.weight", 2, 1, config.file());
    read_common(config, tensors, read);
    return read;
}

TransformerConfig read_diffusers(const JsonObject& config, const TensorMap* tensors) {
    if (config.has("image_dim") || config.has("added_kv_proj_dim")) refuse_image_to_video(config);
    require_null(config, "pos_embed_seq_len");
    if (config.integers("patch_size", 0, 65536) != std::vector<int64_t>{1, 2, 2})
        config.refuse("patch_size", "[1, 2, 2]");
    if (config.text("qk_norm") != "rms_norm_across_heads")
        config.refuse("qk_norm", "\"rms_norm_across_heads\"");
    if (!config.boolean("cross_attn_norm")) config.refuse("cross_attn_norm", "true");
    TransformerConfig read;
    read.heads = config.integer("num_attention_heads", 1, WIDTH_LIMIT);
    read.width = read.heads * config.integer("attention_head_dim", 2, WIDTH_LIMIT);
    if (read.width > WIDTH_LIMIT)
        config.refuse("num_attention_heads",
                      "a width of at most " + std::to_string(WIDTH_LIMIT) + " with attention_head_dim");
    read.layers = config.integer("num_layers", 1, LAYER_LIMIT);
    read.ffn = config.integer("ffn_dim", 1, WIDTH_LIMIT * 16);
    read.in_channels = config.integer("in_channels", 1, 4096);
    read.out_channels = config.integer("out_channels", 1, 4096);
    read.frequencies = config.integer("freq_dim", 2, WIDTH_LIMIT);
    read.text_width = config.integer("text_dim", 1, WIDTH_LIMIT);
    read.rope_length = config.integer("rope_max_seq_len", 1, 1 << 20);
    read_common(config, tensors, read);
    return read;
}

TransformerConfig read_either(const JsonObject& config, const TensorMap* tensors) {
    return transformer_layout(config) == Layout::ORIGINAL ? read_original(config, tensors)
                                                          : read_diffusers(config, tensors);
}

} // namespace

Layout transformer_layout(const JsonObject& config) {
    // Some tools rewrite the original config without its class; its fields are unmistakable.
    std::string name = config.has("_class_name")                    ? config.text("_class_name")
                       : config.has("ffn_dim") && config.has("dim") ? ORIGINAL_CLASS
                                                                    : "";
    if (name == ORIGINAL_CLASS) return Layout::ORIGINAL;
    if (name == DIFFUSERS_CLASS) return Layout::DIFFUSERS;
    config.refuse("_class_name", std::string(ORIGINAL_CLASS) + " or " + DIFFUSERS_CLASS + " (SkyReels-V2)",
                  USE_DF);
}

TransformerConfig read_transformer_config(const JsonObject& config, const TensorMap& tensors) {
    return read_either(config, &tensors);
}

TransformerConfig outline_transformer_config(const JsonObject& config) {
    return read_either(config, nullptr);
}

std::vector<ExpectedTensor> transformer_tensors(const TransformerConfig& config) {
    const int64_t width = config.width, ffn = config.ffn;
    const auto& patch = config.patch;
    std::vector<ExpectedTensor> list;
    auto linear = [&](const std::string& name, const std::string& original, int64_t out, int64_t in) {
        list.push_back({name + ".weight", original + ".weight", {out, in}});
        list.push_back({name + ".bias", original + ".bias", {out}});
    };
    list.push_back({"patch_embedding.weight",
                    "patch_embedding.weight",
                    {width, config.in_channels, patch[0], patch[1], patch[2]}});
    list.push_back({"patch_embedding.bias", "patch_embedding.bias", {width}});
    linear("condition_embedder.text_embedder.linear_1", "text_embedding.0", width, config.text_width);
    linear("condition_embedder.text_embedder.linear_2", "text_embedding.2", width, width);
    linear("condition_embedder.time_embedder.linear_1", "time_embedding.0", width, config.frequencies);
    linear("condition_embedder.time_embedder.linear_2", "time_embedding.2", width, width);
    linear("condition_embedder.time_proj", "time_projection.1", 6 * width, width);
    if (config.fps_embedding) {
        list.push_back({"fps_embedding.weight", "fps_embedding.weight", {2, width}});
        linear("fps_projection.net.0.proj", "fps_projection.0", width, width);
        linear("fps_projection.net.2", "fps_projection.2", 6 * width, width);
    }
    list.push_back({"scale_shift_table", "head.modulation", {1, 2, width}});
    linear("proj_out", "head.head", config.out_channels * patch[0] * patch[1] * patch[2], width);
    for (int64_t i = 0; i < config.layers; i++) {
        const std::string block = "blocks." + std::to_string(i) + ".";
        list.push_back({block + "scale_shift_table", block + "modulation", {1, 6, width}});
        for (auto [attention, original] :
             {std::pair{"attn1", "self_attn"}, std::pair{"attn2", "cross_attn"}}) {
            const std::string a = block + attention + ".", o = block + original + ".";
            linear(a + "to_q", o + "q", width, width);
            linear(a + "to_k", o + "k", width, width);
            linear(a + "to_v", o + "v", width, width);
            linear(a + "to_out.0", o + "o", width, width);
            list.push_back({a + "norm_q.weight", o + "norm_q.weight", {width}});
            list.push_back({a + "norm_k.weight", o + "norm_k.weight", {width}});
        }
        // The affine norm is the second in the order of execution, the third in the original's naming.
        list.push_back({block + "norm2.weight", block + "norm3.weight", {width}});
        list.push_back({block + "norm2.bias", block + "norm3.bias", {width}});
        linear(block + "ffn.net.0.proj", block + "ffn.0", ffn, width);
        linear(block + "ffn.net.2", block + "ffn.2", width, ffn);
    }
    return list;
}

TensorRules transformer_rules() {
    // Published files may carry a marker with the model's name, and a norm that no version of the model runs.
    return {"transformer", USE_DF, [](const std::string& name) {
                return name.starts_with("model_type.") || name.find(".norm_added_q.") != std::string::npos;
            }};
}

} // namespace mc::model
