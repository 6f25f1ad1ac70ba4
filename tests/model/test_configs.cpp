// SPDX-License-Identifier: LGPL-2.1-or-later
#include <filesystem>
#include <nlohmann/json.hpp>
#include <sys/stat.h>

#include "engine/error.h"
#include "engine/families/skyreels_v2/generation_config.h"
#include "engine/model/tokenizer_json.h"
#include "engine/networks/t5/t5_files.h"
#include "engine/networks/wan_dit/wan_dit_files.h"
#include "engine/networks/wan_vae/wan_vae_files.h"
#include "tests/check.h"
#include "tests/model/published.h"

using namespace mc;
using namespace mc::model;
using namespace mc::model::skyreels_v2;
using namespace mc::test;
using nlohmann::json;

namespace {

JsonObject object(const json& value) {
    return JsonObject::parse(value.dump(), "config.json");
}
json golden(const std::string& path) {
    return json::parse(read_file(source_path("tests/golden/data/weights/" + path)));
}
json with(json value, const std::string& key, json field) {
    value[key] = std::move(field);
    return value;
}
json without(json value, const std::string& key) {
    value.erase(key);
    return value;
}

// What the configs leave to the tensors.
TensorMap tensors(bool fps) {
    TensorMap map;
    map["text_embedding.0.weight"] = {DType::F32, {32, 24}};
    if (fps) map["fps_embedding.weight"] = {DType::F32, {2, 32}};
    return map;
}
TransformerConfig transformer(const json& value, bool fps = true) {
    return read_transformer_config(object(value), tensors(fps));
}
GenerationDefaults generation(const json& value) {
    GenerationDefaults defaults = series_defaults(false);
    read_generation_config(object(value), defaults);
    return defaults;
}

} // namespace

TEST(json_is_one_sound_object) {
    CHECK_ERROR(JsonObject::parse("", "c.json"), MC_ERROR_READ, "c.json: is not valid JSON");
    CHECK_ERROR(JsonObject::parse("[1]", "c.json"), MC_ERROR_READ, "no JSON object");
    CHECK_ERROR(JsonObject::parse("{\"a\": 1,}", "c.json"), MC_ERROR_READ, "not valid JSON");
    CHECK_ERROR(JsonObject::parse("{\"a\": \"\xff\"}", "c.json"), MC_ERROR_READ, "not valid JSON");
    CHECK_ERROR(JsonObject::parse("{\"a\": 1, \"a\": 2}", "c.json"), MC_ERROR_READ, "field 'a' twice");
    CHECK_ERROR(JsonObject::parse("{\"a\": " + std::string(100000, '['), "c.json"), MC_ERROR_READ,
                "nests too deeply");
    CHECK_ERROR(JsonObject::parse(std::string((16 << 20) + 1, ' '), "c.json"), MC_ERROR_READ, "too long");
    JsonObject c = JsonObject::parse(
        R"({"n": null, "i": 18446744073709551615, "d": 2.5, "s": "x", "b": true, "o": {"k": [1, 2]}, "l": [1, "2"]})",
        "c.json");
    CHECK(!c.has("n") && !c.has("absent") && c.has("s"));
    CHECK_ERROR(c.integer("absent", 1, 9), MC_ERROR_READ,
                "c.json: field 'absent' is missing, expected an integer from 1 to 9");
    CHECK_ERROR(c.integer("i", 1, 9), MC_ERROR_READ,
                "field 'i' is '18446744073709551615', expected an integer from 1 to 9");
    CHECK_ERROR(c.integer("d", 1, 9), MC_ERROR_READ, "expected an integer");
    CHECK_ERROR(c.number("d", 3, 4), MC_ERROR_READ, "expected a number from 3");
    CHECK_ERROR(c.text("d"), MC_ERROR_READ, "expected a string");
    CHECK_ERROR(c.boolean("s"), MC_ERROR_READ, "expected true or false");
    CHECK_ERROR(c.integers("l", 0, 9), MC_ERROR_READ, "expected a list of integers from 0 to 9");
    CHECK_ERROR(c.numbers("l"), MC_ERROR_READ, "expected a list of numbers");
    CHECK_ERROR(c.booleans("l"), MC_ERROR_READ, "expected a list of true and false");
    CHECK_ERROR(c.numbers("d"), MC_ERROR_READ, "expected a list of numbers");
    CHECK_ERROR(c.booleans("d"), MC_ERROR_READ, "expected a list of true and false");
    CHECK_ERROR(c.integers("d", 0, 9), MC_ERROR_READ, "expected a list of integers");
    CHECK_ERROR(c.object("l"), MC_ERROR_READ, "expected an object");
    CHECK(c.object("o").integers("k", 0, 9) == (std::vector<int64_t>{1, 2}));
}

TEST(transformer_config_of_both_layouts) {
    TransformerConfig original = transformer(golden("original/config.json"));
    CHECK(original.width == 32 && original.heads == 2 && original.layers == 3 && original.ffn == 48);
    CHECK(original.in_channels == 16 && original.out_channels == 16 && original.text_rows == 512 &&
          original.frequencies == 256);
    CHECK_EQ(original.text_width, 24); // from the tensor
    CHECK(original.fps_embedding);
    CHECK_NEAR(original.eps, 1e-6, 0);
    TransformerConfig diffusers = transformer(golden("diffusers/transformer/config.json"));
    CHECK(diffusers.width == 32 && diffusers.heads == 2 && diffusers.layers == 3 && diffusers.ffn == 48);
    CHECK(diffusers.text_width == 32 && diffusers.rope_length == 1024 && diffusers.fps_embedding);
    CHECK(!transformer(golden("original_nofps/config.json"), false).fps_embedding);
    CHECK_EQ(transformer(without(golden("original/config.json"), "_class_name")).width, 32);
    // A property of a run, not of the model.
    CHECK_EQ(transformer(with(golden("diffusers/transformer/config.json"), "num_frame_per_block", 5)).layers,
             3);
}

TEST(transformer_config_is_strict) {
    const json original = golden("original/config.json"),
               diffusers = golden("diffusers/transformer/config.json");
    for (const char* key : {"dim", "num_heads", "num_layers", "ffn_dim", "in_dim", "out_dim", "freq_dim",
                            "text_len", "eps", "model_type"})
        CHECK_ERROR(transformer(without(original, key)), MC_ERROR_READ,
                    std::string("config.json: field '") + key + "' is missing, expected");
    for (const char* key :
         {"num_attention_heads", "attention_head_dim", "num_layers", "ffn_dim", "in_channels", "out_channels",
          "freq_dim", "text_dim", "rope_max_seq_len", "patch_size", "qk_norm", "cross_attn_norm", "eps"})
        CHECK_ERROR(transformer(without(diffusers, key)), MC_ERROR_READ,
                    std::string("config.json: field '") + key + "' is missing, expected");
    CHECK_ERROR(transformer(with(original, "dim", "32")), MC_ERROR_READ,
                "'dim' is '\"32\"', expected an integer");
    CHECK_ERROR(transformer(with(original, "num_layers", 1000000000)), MC_ERROR_READ,
                "'num_layers' is '1000000000', expected an integer from 1 to 1024");
    CHECK_ERROR(transformer(with(original, "num_heads", 5)), MC_ERROR_READ, "width of 32 in 5 heads");
    CHECK_ERROR(transformer(with(original, "num_heads", 32)), MC_ERROR_READ, "even number of channels");
    CHECK_ERROR(transformer(with(original, "freq_dim", 255)), MC_ERROR_READ, "even number");
    CHECK_ERROR(transformer(with(original, "in_dim", 36)), MC_ERROR_READ,
                "image-to-video model (I2V: 36 input channels");
    CHECK_ERROR(transformer(with(original, "model_type", "i2v")), MC_ERROR_READ, "image-to-video");
    CHECK_ERROR(transformer(with(original, "model_type", "vace")), MC_ERROR_READ, "expected \"t2v\"");
    CHECK_ERROR(transformer(with(original, "in_dim", 20)), MC_ERROR_READ, "20 input and 16 output channels");
    CHECK_ERROR(transformer(with(original, "inject_sample_info", false)), MC_ERROR_READ,
                "expected true, as the weights hold an fps embedding");
    CHECK_ERROR(transformer(original, false), MC_ERROR_READ,
                "expected false, as the weights hold no fps embedding");
    CHECK_ERROR(transformer(with(diffusers, "image_dim", 1280)), MC_ERROR_READ, "image-to-video");
    CHECK_ERROR(transformer(with(diffusers, "added_kv_proj_dim", 32)), MC_ERROR_READ, "image-to-video");
    CHECK_ERROR(transformer(with(diffusers, "in_channels", 36)), MC_ERROR_READ, "image-to-video");
    CHECK_ERROR(transformer(with(diffusers, "pos_embed_seq_len", 514)), MC_ERROR_READ, "expected null");
    CHECK_ERROR(transformer(with(diffusers, "patch_size", {1, 1, 1})), MC_ERROR_READ, "expected [1, 2, 2]");
    CHECK_ERROR(transformer(with(diffusers, "qk_norm", "layer_norm")), MC_ERROR_READ,
                "expected \"rms_norm_across_heads\"");
    CHECK_ERROR(transformer(with(diffusers, "cross_attn_norm", false)), MC_ERROR_READ, "expected true");
    CHECK_ERROR(transformer(with(with(diffusers, "num_attention_heads", 60000), "attention_head_dim", 60000)),
                MC_ERROR_READ, "a width of at most");
    CHECK_ERROR(transformer(with(diffusers, "_class_name", "WanTransformer3DModel")), MC_ERROR_READ,
                "expected WanModel or SkyReelsV2Transformer3DModel");
    CHECK_ERROR(transformer(json::object()), MC_ERROR_READ, "field '_class_name' is missing");
    CHECK_ERROR(read_transformer_config(object(original), {}), MC_ERROR_READ,
                "lacks tensor 'text_embedding.0.weight'");
}

TEST(vae_config) {
    const json good = golden("diffusers/vae/config.json");
    VaeConfig config = read_vae_config(object(good));
    CHECK(config.base == 4 && config.latent_channels == 16 && config.residual_blocks == 2);
    CHECK(config.multipliers == (std::vector<int64_t>{1, 2, 4, 4}) &&
          config.temporal_downsample == (std::vector<bool>{false, true, true}));
    CHECK(config.spatial_factor == 8 && config.temporal_factor == 4 && config.latents_mean.size() == 16);
    CHECK_NEAR(config.latents_std[15], 1.916, 1e-6);
    auto read = [](const json& value) { return read_vae_config(object(value)); };
    for (const char* key : {"_class_name", "base_dim", "z_dim", "dim_mult", "num_res_blocks",
                            "temperal_downsample", "latents_mean", "latents_std"})
        CHECK_ERROR(read(without(good, key)), MC_ERROR_READ, std::string("field '") + key + "' is missing");
    CHECK_ERROR(read(with(good, "_class_name", "AutoencoderKL")), MC_ERROR_READ,
                "expected \"AutoencoderKLWan\"");
    CHECK_ERROR(read(with(good, "is_residual", true)), MC_ERROR_READ, "Wan 2.2");
    CHECK_ERROR(read(with(good, "patch_size", 2)), MC_ERROR_READ, "Wan 2.2");
    CHECK_ERROR(read(with(good, "decoder_base_dim", 256)), MC_ERROR_READ, "Wan 2.2");
    CHECK_ERROR(read(with(good, "attn_scales", {1.0})), MC_ERROR_READ, "an empty list");
    CHECK_ERROR(read(with(good, "in_channels", 12)), MC_ERROR_READ, "from 3 to 3");
    CHECK_ERROR(read(with(good, "dim_mult", {1})), MC_ERROR_READ, "one per stage");
    CHECK_ERROR(read(with(good, "temperal_downsample", {true})), MC_ERROR_READ, "one entry less");
    CHECK_ERROR(read(with(with(good, "base_dim", 3), "dim_mult", {1, 2, 4, 5})), MC_ERROR_READ,
                "even channels");
    CHECK_ERROR(read(with(good, "latents_mean", {0.5})), MC_ERROR_READ, "16 numbers");
    CHECK_ERROR(read(with(good, "latents_std", std::vector<double>(16, 0.0))), MC_ERROR_READ,
                "in their range");
    CHECK_ERROR(read(with(good, "scale_factor_spatial", 16)), MC_ERROR_READ, "from 8 to 8");
}

TEST(vae_sizes_from_tensors) {
    TensorMap map;
    for (const PublishedTensor& tensor : published_vae()) map[tensor.original] = {DType::F32, tensor.shape};
    VaeConfig config = infer_vae_config(map, "Wan2.1_VAE.pth");
    CHECK(config.base == 96 && config.latent_channels == 16 && config.residual_blocks == 2);
    CHECK(config.multipliers == (std::vector<int64_t>{1, 2, 4, 4}) &&
          config.temporal_downsample == (std::vector<bool>{false, true, true}));
    CHECK_NEAR(config.latents_mean[0], -0.7571, 1e-6);
    std::vector<ExpectedTensor> expected = vae_tensors(config);
    CHECK_EQ(expected.size(), size_t(194));

    TensorMap other = map;
    other["conv2.weight"].shape = {48, 48, 1, 1, 1};
    CHECK_ERROR(infer_vae_config(other, "v.pth"), MC_ERROR_READ, "48 latent channels");
    other = map;
    other["encoder.downsamples.0.downsamples.0.residual.0.gamma"] = {DType::F32, {1}};
    CHECK_ERROR(infer_vae_config(other, "v.pth"), MC_ERROR_READ, "Wan 2.2");
    other = map;
    other.erase("encoder.downsamples.0.residual.2.weight");
    CHECK_ERROR(infer_vae_config(other, "v.pth"), MC_ERROR_READ, "cannot be determined");
    other = map;
    other.erase("encoder.downsamples.2.resample.1.weight");
    CHECK_ERROR(infer_vae_config(other, "v.pth"), MC_ERROR_READ, "one stage");
    CHECK_ERROR(infer_vae_config({}, "v.pth"), MC_ERROR_READ, "lacks tensor 'encoder.conv1.weight'");
}

TEST(text_encoder_config) {
    const json good = golden("diffusers/text_encoder/config.json");
    auto read = [](const json& value) { return read_text_encoder_config(object(value)); };
    TextEncoderConfig config = read(good);
    CHECK(config.vocabulary == 768 && config.width == 32 && config.heads == 4 && config.head == 8 &&
          config.ffn == 64 && config.layers == 3);
    CHECK(config.buckets == 32 && config.max_distance == 128);
    for (const char* key : {"model_type", "feed_forward_proj", "vocab_size", "d_model", "num_heads", "d_kv",
                            "d_ff", "num_layers", "relative_attention_num_buckets",
                            "relative_attention_max_distance", "layer_norm_epsilon"})
        CHECK_ERROR(read(without(good, key)), MC_ERROR_READ, std::string("field '") + key + "' is missing");
    CHECK_ERROR(read(with(good, "model_type", "t5")), MC_ERROR_READ, "expected \"umt5\"");
    CHECK_ERROR(read(with(good, "feed_forward_proj", "relu")), MC_ERROR_READ, "expected \"gated-gelu\"");
    CHECK_ERROR(read(with(with(good, "d_kv", 65536), "num_heads", 65536)), MC_ERROR_READ,
                "together with num_heads");
    CHECK_ERROR(read(with(good, "relative_attention_num_buckets", 30)), MC_ERROR_READ, "multiple of 4");
    CHECK_ERROR(read(with(good, "relative_attention_max_distance", 8)), MC_ERROR_READ, "from 9");
}

TEST(text_encoder_config_of_t5) {
    json t5 = golden("diffusers/text_encoder/config.json");
    CHECK_ERROR(read_t5_text_encoder_config(object(t5)), MC_ERROR_READ,
                "expected \"t5\"; use the text encoder");
    t5["model_type"] = "t5";
    const TextEncoderConfig config = read_t5_text_encoder_config(object(t5));
    CHECK(config.shared_positions && config.layers == 3);
    const auto has_table = [](const std::vector<ExpectedTensor>& tensors, const std::string& layer) {
        for (const ExpectedTensor& t : tensors)
            if (t.name == "encoder.block." + layer + ".layer.0.SelfAttention.relative_attention_bias.weight")
                return true;
        return false;
    };
    CHECK(has_table(text_encoder_tensors(config), "0") && !has_table(text_encoder_tensors(config), "1"));
    TextEncoderConfig other = config;
    other.shared_positions = false;
    CHECK(has_table(text_encoder_tensors(other), "1"));
}

TEST(text_encoder_sizes_from_tensors) {
    TensorMap map;
    for (const PublishedTensor& tensor : published_text_encoder())
        map[tensor.original] = {DType::BF16, tensor.shape};
    TextEncoderConfig config = infer_text_encoder_config(map, "t5.pth");
    CHECK(config.vocabulary == 256384 && config.width == 4096 && config.heads == 64 && config.head == 64 &&
          config.ffn == 10240 && config.layers == 24);
    map["blocks.0.pos_embedding.embedding.weight"].shape = {32, 60};
    CHECK_ERROR(infer_text_encoder_config(map, "t5.pth"), MC_ERROR_READ, "60 heads");
    map["blocks.0.pos_embedding.embedding.weight"].shape = {32};
    CHECK_ERROR(infer_text_encoder_config(map, "t5.pth"), MC_ERROR_READ, "impossible shape [32]");
}

TEST(generation_config_replaces_what_it_states) {
    GenerationDefaults series = generation(json::object());
    CHECK(series.width == 960 && series.height == 544 && series.num_frames == 97 &&
          series.base_num_frames == 97);
    CHECK(series.steps == 30 && series.overlap_history == 17 && series.causal_block_size == 1 &&
          series.ar_step == 0);
    CHECK_NEAR(series.shift, 8, 0);
    CHECK_NEAR(series.guidance_scale, 6, 0);
    CHECK(series.negative_prompt.starts_with("色调艳丽，过曝，") &&
          series.negative_prompt.ends_with("，倒着走"));
    CHECK(series.attention == Attention::FULL && series.long_video == LongVideo::PIXEL &&
          series.addnoise_condition == 0);

    GenerationDefaults all = generation({{"width", 160},
                                         {"height", 96},
                                         {"frame_rate", 16},
                                         {"num_frames", 57},
                                         {"base_num_frames", 41},
                                         {"overlap_history", 9},
                                         {"causal_block_size", 3},
                                         {"steps", 20},
                                         {"shift", 3.0},
                                         {"guidance_scale", 4},
                                         {"ar_step", 5},
                                         {"attention", "causal"},
                                         {"negative_prompt", ""},
                                         {"addnoise_condition", 20},
                                         {"long_video", "latent"}});
    CHECK(all.width == 160 && all.height == 96 && all.frame_rate_n == 16 && all.frame_rate_d == 1 &&
          all.num_frames == 57 && all.base_num_frames == 41);
    CHECK(all.overlap_history == 9 && all.causal_block_size == 3 && all.steps == 20 && all.ar_step == 5 &&
          all.addnoise_condition == 20);
    CHECK_NEAR(all.shift, 3, 0);
    CHECK_NEAR(all.guidance_scale, 4, 0);
    CHECK(all.attention == Attention::CAUSAL && all.long_video == LongVideo::LATENT &&
          all.negative_prompt.empty());

    GenerationDefaults big = series_defaults(true);
    CHECK(big.width == 1280 && big.height == 720 && big.base_num_frames == 121 && big.overlap_history == 17);
}

TEST(generation_config_is_strict) {
    CHECK_ERROR(generation({{"num_inference_steps", 20}}), MC_ERROR_READ,
                "unknown field 'num_inference_steps'; use only width, height, frame_rate, num_frames,");
    CHECK_ERROR(generation({{"steps", 0}}), MC_ERROR_READ,
                "'steps' is '0', expected an integer from 1 to 1000");
    CHECK_ERROR(generation({{"steps", 20.5}}), MC_ERROR_READ, "expected an integer");
    CHECK_ERROR(generation({{"shift", 0}}), MC_ERROR_READ, "expected a number");
    CHECK_ERROR(generation({{"attention", "auto"}}), MC_ERROR_READ, "\"full\", \"causal\" or \"kv\"");
    CHECK_ERROR(generation({{"long_video", 1}}), MC_ERROR_READ, "expected a string");
    CHECK_ERROR(generation({{"long_video", "both"}}), MC_ERROR_READ, "\"pixel\" or \"latent\"");
    CHECK_ERROR(generation({{"addnoise_condition", 1000}}), MC_ERROR_READ, "from 0 to 999");
    CHECK_ERROR(generation({{"negative_prompt", nullptr}}), MC_ERROR_READ, "expected a string");
}

// Every field of every config replaced by values of every kind: an error or a config, never a crash.
TEST(configs_survive_any_value_in_any_field) {
    const std::vector<json> values{nullptr,    true,      -1,         0,
                                   1,          2,         3,          255,
                                   4294967296, INT64_MIN, UINT64_MAX, 1e308,
                                   -0.5,       "",        "x",        json::array(),
                                   {1, 2, 2},  {-1},      {"a"},      json::object()};
    size_t refused = 0, read = 0;
    auto attempt = [&](auto&& body) {
        try {
            body();
            read++;
        } catch (const Error& e) {
            CHECK(e.status == MC_ERROR_READ);
            refused++;
        }
    };
    const json original = golden("original/config.json"),
               diffusers = golden("diffusers/transformer/config.json"),
               vae = golden("diffusers/vae/config.json"), text = golden("diffusers/text_encoder/config.json"),
               generate = json::parse(read_file(source_path("models/demo/generation_config.json")));
    for (const json& value : values) {
        for (const auto& [key, old] : original.items())
            attempt([&] { transformer_tensors(transformer(with(original, key, value))); });
        for (const auto& [key, old] : diffusers.items())
            attempt([&] { transformer_tensors(transformer(with(diffusers, key, value))); });
        for (const auto& [key, old] : vae.items())
            attempt([&] { vae_tensors(read_vae_config(object(with(vae, key, value)))); });
        for (const auto& [key, old] : text.items())
            attempt([&] { text_encoder_tensors(read_text_encoder_config(object(with(text, key, value)))); });
        for (const auto& [key, old] : generate.items())
            attempt([&] { generation(with(generate, key, value)); });
    }
    CHECK(refused > 500 && read > 100);
}

TEST(byte_fallback_is_what_tokenizer_json_says) {
    TemporaryFolder folder;
    const std::string spiece = folder.path + "/spiece.model", file = folder.path + "/tokenizer.json";
    CHECK(tokenizer_byte_fallback(spiece)); // no tokenizer.json
    write_file(file, R"({"model": {"type": "Unigram", "vocab": [["a", -1.5]]}})");
    CHECK(!tokenizer_byte_fallback(spiece));
    write_file(file, R"({"other": {"byte_fallback": true}, "model": {"vocab": [{"byte_fallback": true}]}})");
    CHECK(!tokenizer_byte_fallback(spiece));
    write_file(file, R"({"model": {"byte_fallback": true, "vocab": []}})");
    CHECK(tokenizer_byte_fallback(spiece));
    write_file(file, R"({"model": {"byte_fallback")");
    CHECK_ERROR(tokenizer_byte_fallback(spiece), MC_ERROR_READ, "not JSON");
    write_file(file, std::string(100000, '['));
    CHECK_ERROR(tokenizer_byte_fallback(spiece), MC_ERROR_READ, "not JSON");
    std::filesystem::remove(file);
    std::filesystem::create_directory(file);
    CHECK_ERROR(tokenizer_byte_fallback(spiece), MC_ERROR_READ, "not a regular file");
    std::filesystem::remove(file);
    CHECK_EQ(mkfifo(file.c_str(), 0600), 0); // nobody writes: must not be waited for
    CHECK_ERROR(tokenizer_byte_fallback(spiece), MC_ERROR_READ, "not a regular file");
}
