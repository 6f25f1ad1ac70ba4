// SPDX-License-Identifier: LGPL-2.1-or-later
#include "engine/model/folder_listing.h"
#include "engine/model/read_error.h"
#include "engine/networks/t5/t5_files.h"

namespace mc::model {

namespace {

constexpr int64_t WIDTH_LIMIT = 65536, LAYER_LIMIT = 1024;
constexpr const char* USE_UMT5 = "use the text encoder that comes with SkyReels-V2 (UMT5-XXL)";
constexpr const char* USE_T5 = "use the text encoder that comes with MAGI-1 (T5 v1.1 XXL)";

// type: as `model_type` says it.
TextEncoderConfig read_config(const JsonObject& config, const char* type, const char* remedy) {
    if (config.text("model_type") != type)
        config.refuse("model_type", "\"" + std::string(type) + "\"", remedy);
    if (config.text("feed_forward_proj") != "gated-gelu")
        config.refuse("feed_forward_proj", "\"gated-gelu\"", remedy);
    TextEncoderConfig read;
    read.vocabulary = config.integer("vocab_size", 4, 1 << 24);
    read.width = config.integer("d_model", 1, WIDTH_LIMIT);
    read.heads = config.integer("num_heads", 1, WIDTH_LIMIT);
    read.head = config.integer("d_kv", 1, WIDTH_LIMIT);
    if (read.heads * read.head > WIDTH_LIMIT * 16)
        config.refuse("d_kv", "at most " + std::to_string(WIDTH_LIMIT * 16) + " together with num_heads");
    read.ffn = config.integer("d_ff", 1, WIDTH_LIMIT * 16);
    read.layers = config.integer("num_layers", 1, LAYER_LIMIT);
    // Half of the buckets are for each direction, half of those for single distances.
    read.buckets = config.integer("relative_attention_num_buckets", 4, 65536);
    if (read.buckets % 4) config.refuse("relative_attention_num_buckets", "a multiple of 4");
    read.max_distance = config.integer("relative_attention_max_distance", read.buckets / 4 + 1, 1 << 24);
    read.eps = config.number("layer_norm_epsilon", 1e-12, 1e-1);
    return read;
}

} // namespace

TextEncoderConfig read_text_encoder_config(const JsonObject& config) {
    return read_config(config, "umt5", USE_UMT5);
}

TextEncoderConfig read_t5_text_encoder_config(const JsonObject& config) {
    TextEncoderConfig read = read_config(config, "t5", USE_T5);
    read.shared_positions = true;
    return read;
}

TextEncoderConfig infer_text_encoder_config(const TensorMap& tensors, const std::string& origin) {
    TextEncoderConfig read; // eps and the greatest distance: UMT5's, no tensor tells them
    read.vocabulary = side_of(tensors, "token_embedding.weight", 2, 0, origin);
    read.width = side_of(tensors, "token_embedding.weight", 2, 1, origin);
    read.buckets = side_of(tensors, "blocks.0.pos_embedding.embedding.weight", 2, 0, origin);
    read.heads = side_of(tensors, "blocks.0.pos_embedding.embedding.weight", 2, 1, origin);
    read.ffn = side_of(tensors, "blocks.0.ffn.fc1.weight", 2, 0, origin);
    int64_t inner = side_of(tensors, "blocks.0.attn.q.weight", 2, 0, origin);
    if (inner % read.heads || read.buckets % 4 || read.buckets / 4 >= read.max_distance)
        throw read_error(origin,
                         "is not a UMT5 encoder: " + std::to_string(inner) + " channels, " +
                             std::to_string(read.heads) + " heads and " + std::to_string(read.buckets) +
                             " distance buckets do not go together",
                         USE_UMT5);
    read.head = inner / read.heads;
    while (tensors.count("blocks." + std::to_string(read.layers) + ".norm1.weight")) read.layers++;
    return read;
}

std::vector<ExpectedTensor> text_encoder_tensors(const TextEncoderConfig& config) {
    const int64_t width = config.width, inner = config.heads * config.head;
    std::vector<ExpectedTensor> list;
    list.push_back({"shared.weight", "token_embedding.weight", {config.vocabulary, width}});
    for (int64_t i = 0; i < config.layers; i++) {
        const std::string original = "blocks." + std::to_string(i) + ".";
        const std::string layer = "encoder.block." + std::to_string(i) + ".layer.";
        const std::string attention = layer + "0.SelfAttention.", dense = layer + "1.DenseReluDense.";
        list.push_back({layer + "0.layer_norm.weight", original + "norm1.weight", {width}});
        list.push_back({attention + "q.weight", original + "attn.q.weight", {inner, width}});
        list.push_back({attention + "k.weight", original + "attn.k.weight", {inner, width}});
        list.push_back({attention + "v.weight", original + "attn.v.weight", {inner, width}});
        list.push_back({attention + "o.weight", original + "attn.o.weight", {width, inner}});
        if (i == 0 || !config.shared_positions)
            list.push_back({attention + "relative_attention_bias.weight",
                            original + "pos_embedding.embedding.weight",
                            {config.buckets, config.heads}});
        list.push_back({layer + "1.layer_norm.weight", original + "norm2.weight", {width}});
        list.push_back(
            {dense + "wi_0.weight", original + "ffn.gate.0.weight", {config.ffn, width}}); // the gate
        list.push_back({dense + "wi_1.weight", original + "ffn.fc1.weight", {config.ffn, width}});
        list.push_back({dense + "wo.weight", original + "ffn.fc2.weight", {width, config.ffn}});
    }
    list.push_back({"encoder.final_layer_norm.weight", "norm.weight", {width}});
    return list;
}

namespace {

// A T5 that was published whole: its encoder is all that is used.
bool of_decoder(const std::string& name) {
    return name.starts_with("decoder.") || name == "lm_head.weight";
}

} // namespace

// The embedding is tied; which of its two names folders store has changed with the years.
TensorRules text_encoder_rules(const TextEncoderConfig& config) {
    const bool t5 = config.shared_positions;
    return {"text encoder", t5 ? USE_T5 : USE_UMT5, t5 ? of_decoder : nullptr, "encoder.embed_tokens.weight",
            "shared.weight"};
}

} // namespace mc::model
