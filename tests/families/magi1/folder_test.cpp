// SPDX-License-Identifier: LGPL-2.1-or-later
// A MAGI-1 model as published, with a part that is missing, damaged, or another model's. No Torch, and of weights
// zeros.
#include "engine/families/magi1/folder.h"

#include <filesystem>
#include <nlohmann/json.hpp>

#include "engine/error.h"
#include "engine/networks/magi_dit/magi_dit_files.h"
#include "engine/networks/t5/t5_files.h"
#include "engine/networks/vit_vae/vit_vae_files.h"
#include "tests/check.h"
#include "tests/model/published.h"
#include "tests/model/weight_writer.h"

using namespace mc;
using namespace mc::model;
using namespace mc::model::magi1;
using namespace mc::test;
using nlohmann::json;
namespace fs = std::filesystem;

namespace {

json golden(const std::string& file) {
    return json::parse(read_file(source_path("tests/golden/data/magi1/" + file)));
}

std::vector<StoredTensor> zeros(const std::vector<ExpectedTensor>& expected) {
    std::vector<StoredTensor> list;
    for (const ExpectedTensor& t : expected)
        list.push_back({t.name, t.eight_bits ? "F8_E4M3" : "BF16", t.shape, {}});
    return list;
}

struct Model {
    TemporaryFolder folder;
    json config = golden("dit_45b_distill/weights/config.json");
    json vae = golden("vae_small_patch/weights/config.json");
    json text = golden("t5/weights/t5-v1_1-xxl/config.json");

    explicit Model(bool fp8 = false) {
        config["runtime_config"]["load"] = "./downloads/4.5B_distill";
        config["runtime_config"]["t5_pretrained"] = "./downloads/t5_pretrained";
        config["runtime_config"]["vae_pretrained"] = "./downloads/vae";
        config["engine_config"]["fp8_quant"] = fp8;
        json& sizes = vae["ddconfig"];
        sizes["video_size"] = 16, sizes["patch_size"] = 8, sizes["embed_dim"] = 256, sizes["depth"] = 1;
        write_file(folder / "model.json", config.dump());
        write_file(folder / "downloads/vae/config.json", vae.dump());
        write_safetensors(folder / "downloads/vae/diffusion_pytorch_model.safetensors",
                          zeros(vit_vae_tensors(read_vit_vae_config(JsonObject::parse(vae.dump(), "vae")))));
        write_file(folder / "downloads/t5_pretrained/t5-v1_1-xxl/config.json", text.dump());
        write_safetensors(
            folder / "downloads/t5_pretrained/t5-v1_1-xxl/model.safetensors",
            zeros(text_encoder_tensors(read_t5_text_encoder_config(JsonObject::parse(text.dump(), "t5")))));
        write_safetensors(weights() + "/model.safetensors", tensors());
        write_file(folder / "example/assets/special_tokens.npz",
                   read_file(source_path("tests/golden/data/magi1/text/special_tokens.npz")));
    }
    std::string weights() const {
        return folder / (config["engine_config"]["fp8_quant"].get<bool>()
                             ? "downloads/4.5B_distill/inference_weight.fp8.distill"
                             : "downloads/4.5B_distill/inference_weight.distill");
    }
    MagiDitConfig sizes() const {
        return read_magi_dit_config(JsonObject::parse(config["model_config"].dump(), "model_config"),
                                    config["engine_config"]["fp8_quant"], true);
    }
    std::vector<StoredTensor> tensors() const { return zeros(magi_dit_tensors(sizes())); }
    void write(const json& changed) const { write_file(folder / "model.json", changed.dump()); }
    void write_weights(const std::vector<StoredTensor>& list) const {
        write_safetensors(weights() + "/model.safetensors", list);
    }
    Folder open() const { return Folder::open(folder / "model.json"); }
    std::unique_ptr<Tensors> open_weights() const { return open_magi_dit(weights(), sizes()); }
};

std::vector<StoredTensor> without(std::vector<StoredTensor> list, const std::string& name) {
    const size_t before = list.size();
    std::erase_if(list, [&](const StoredTensor& t) { return t.name == name; });
    CHECK_EQ(list.size() + 1, before);
    return list;
}

// What the error of `open` says.
template <class Open>
std::string refusal(const Open& open, McStatus status) {
    try {
        open();
    } catch (const Error& e) {
        CHECK_EQ(int(e.status), int(status));
        return e.what();
    }
    mc::test::fail(__FILE__, __LINE__, "nothing was refused");
    return {};
}

} // namespace

TEST(a_whole_model_is_found_in_its_places) {
    const Model model;
    const Folder f = model.open();
    CHECK_EQ(f.places.weights, model.weights());
    CHECK_EQ(f.places.text_encoder, model.folder / "downloads/t5_pretrained/t5-v1_1-xxl");
    CHECK_EQ(f.places.vae, model.folder / "downloads/vae");
    CHECK_EQ(f.places.special_tokens, model.folder / "example/assets/special_tokens.npz");
    CHECK_EQ(f.runtime.steps, 8);
    CHECK_EQ(f.transformer.width, 128);
    CHECK_EQ(model.open_weights()->all().size(), model.tensors().size());
    VitVaeConfig vae;
    CHECK_EQ(open_vit_vae(f.places.vae, vae)->all().size(), vit_vae_tensors(vae).size());
    TextEncoderConfig text;
    CHECK_EQ(open_t5_text_encoder(f.places.text_encoder, text)->all().size(),
             text_encoder_tensors(text).size());
}

TEST(a_place_is_tried_as_written_beside_the_file_and_by_its_last_name) {
    Model model;
    fs::rename(model.folder / "downloads/vae", model.folder / "vae"); // under the folder
    CHECK_EQ(model.open().places.vae, model.folder / "vae");
    const TemporaryFolder elsewhere;
    fs::rename(model.folder / "downloads/t5_pretrained", elsewhere / "t5"); // as written
    model.config["runtime_config"]["t5_pretrained"] = elsewhere / "t5";
    model.write(model.config);
    CHECK_EQ(model.open().places.text_encoder, elsewhere / "t5/t5-v1_1-xxl");
    fs::rename(model.folder / "downloads/4.5B_distill/inference_weight.distill",
               model.folder / "inference_weight.distill");
    CHECK_EQ(model.open().places.weights, model.folder / "inference_weight.distill");
    fs::rename(model.folder / "example/assets/special_tokens.npz", model.folder / "special_tokens.npz");
    CHECK_EQ(model.open().places.special_tokens, model.folder / "special_tokens.npz");
}

TEST(what_is_missing_is_listed_with_the_places_where_it_was_looked_for) {
    const struct {
        std::string gone, what;
        std::vector<std::string> tried;
    } places[]{
        {"downloads/4.5B_distill",
         "the weights of its transformer (load)",
         {"downloads/4.5B_distill/inference_weight.distill",
          "/downloads/4.5B_distill/inference_weight.distill", "/4.5B_distill/inference_weight.distill",
          "/inference_weight.distill"}},
        {"downloads/t5_pretrained",
         "a text encoder (t5_pretrained)",
         {"downloads/t5_pretrained/t5-v1_1-xxl", "/downloads/t5_pretrained/t5-v1_1-xxl",
          "/t5_pretrained/t5-v1_1-xxl", "/t5-v1_1-xxl"}},
        {"downloads/vae",
         "a VAE (vae_pretrained)",
         {"downloads/vae/config.json", "/downloads/vae/config.json", "/vae/config.json", "/config.json"}},
        {"example",
         "the table of special tokens",
         {"example/assets/special_tokens.npz", "/example/assets/special_tokens.npz", "/special_tokens.npz"}},
    };
    for (const auto& place : places) {
        const Model model;
        fs::remove_all(model.folder / place.gone);
        const std::string message = refusal([&] { model.open(); }, MC_ERROR_NOT_FOUND);
        CHECK(message.find("model.json") != std::string::npos);
        CHECK(message.find(place.what) != std::string::npos);
        for (const std::string& tried : place.tried)
            CHECK(message.find((tried[0] == '/' ? model.folder.path : "looked for ") + tried) !=
                  std::string::npos);
        CHECK(message.find("download it to one of these places") != std::string::npos);
    }
}

TEST(places_that_are_there_and_hold_nothing) {
    const Model model;
    fs::remove(model.weights() + "/model.safetensors");
    CHECK_ERROR(model.open_weights(), MC_ERROR_NOT_FOUND, "holds no *.safetensors file");
    write_file(model.weights() + "/model.safetensors.part", "x");
    CHECK_ERROR(model.open_weights(), MC_ERROR_NOT_FOUND, "an unfinished download");
    fs::remove(model.folder / "downloads/t5_pretrained/t5-v1_1-xxl/config.json");
    CHECK_ERROR(model.open(), MC_ERROR_NOT_FOUND, "t5-v1_1-xxl/config.json");
}

TEST(files_that_are_cut_off) {
    const Model model;
    const std::string text = read_file(model.folder / "model.json");
    for (size_t length : {size_t(1), text.size() / 2, text.size() - 1}) {
        write_file(model.folder / "model.json", text.substr(0, length));
        CHECK_ERROR(model.open(), MC_ERROR_READ, "model.json");
    }
    VitVaeConfig vae;
    TextEncoderConfig encoder;
    for (const std::string part : {"downloads/4.5B_distill/inference_weight.distill/model.safetensors",
                                   "downloads/vae/diffusion_pytorch_model.safetensors",
                                   "downloads/t5_pretrained/t5-v1_1-xxl/model.safetensors"}) {
        const uint64_t size = fs::file_size(model.folder / part);
        for (uint64_t length : {uint64_t(4), uint64_t(100), size - 1}) {
            fs::resize_file(model.folder / part, length);
            CHECK_ERROR(
                {
                    model.open_weights();
                    open_vit_vae(model.folder / "downloads/vae", vae);
                    open_t5_text_encoder(model.folder / "downloads/t5_pretrained/t5-v1_1-xxl", encoder);
                },
                MC_ERROR_READ, part.substr(part.rfind('/') + 1));
        }
        fs::remove(model.folder / part);
        const Model other; // one damage at a time
        fs::copy(other.folder / part, model.folder / part);
    }
}

TEST(values_that_cannot_be_used) {
    const Model model;
    const struct {
        const char *at, *value, *message;
    } wrong[]{
        {"/runtime_config/cfg_number", "3", "field 'cfg_number' is '3', expected 1, since distill is true"},
        {"/runtime_config/cfg_number", "2", "expected 1, since distill is true and fp8_quant false"},
        {"/runtime_config/num_steps", "10", "expected a divisor of num_steps (10)"},
        {"/runtime_config/noise2clean_kvrange", "[5, 4, 3]", "a list whose length divides num_steps (8)"},
        {"/runtime_config/noise2clean_kvrange", "[5, 4, 3, 0]", "noise2clean_kvrange"},
        {"/runtime_config/text_scales", "[7.5]", "as many numbers as cfg_t_range"},
        {"/runtime_config/cfg_t_range", "[0.5, 0.1, 0.2, 0.3, 0.9]", "rising flow times"},
        {"/runtime_config/clean_chunk_kvrange", "0", "-1 or at least 1"},
        {"/runtime_config/chunk_width", "5", "expected 6"},
        {"/runtime_config/temporal_downsample_factor", "8", "expected 4"},
        {"/runtime_config/video_size_w", "100", "a multiple of 16"},
        {"/runtime_config/window_size", "0", "window_size"},
        {"/runtime_config/clean_t", "1.5", "clean_t"},
        {"/runtime_config/load", "7", "load"},
        {"/engine_config/distill", "\"yes\"", "distill"},
        {"/engine_config/distill", "false", "expected 3, since distill is false"},
        {"/model_config/num_query_groups", "3", "a divisor of num_attention_heads"},
        {"/model_config/kv_channels", "32", "hidden_size / num_attention_heads"},
        {"/model_config/out_channels", "8", "as many as in_channels"},
        {"/model_config/patch_size", "4", "expected 2"},
        {"/model_config/apply_layernorm_1p", "false", "expected true"},
        {"/model_config/xattn_cond_hidden_ratio", "0.5", "expected 1.0"},
        {"/model_config/caption_channels", "32",
         "the text encoder gives rows of 64 and the transformer takes rows of 32"},
        {"/model_config/num_layers", "null", "num_layers"},
    };
    for (const auto& w : wrong) {
        json changed = model.config;
        changed[json::json_pointer(w.at)] = json::parse(w.value);
        model.write(changed);
        CHECK_ERROR(model.open(), MC_ERROR_READ, w.message);
    }
    for (const char* section : {"model_config", "runtime_config", "engine_config"}) {
        json changed = model.config;
        changed.erase(section);
        model.write(changed);
        CHECK_ERROR(model.open(), MC_ERROR_READ, section);
    }
    json doubled = model.config;
    doubled["model_config"]["half_channel_vae"] = true;
    model.write(doubled);
    CHECK_ERROR(model.open(), MC_ERROR_READ, "the VAE has latents of 16 channels and the transformer of 8");
}

TEST(parts_that_are_not_what_they_should_be) {
    const Model model;
    json text = model.text;
    text["model_type"] = "umt5";
    write_file(model.folder / "downloads/t5_pretrained/t5-v1_1-xxl/config.json", text.dump());
    CHECK_ERROR(model.open(), MC_ERROR_READ, "use the text encoder that comes with MAGI-1 (T5 v1.1 XXL)");
    json vae = model.vae;
    vae["model_type"] = "cnn";
    write_file(model.folder / "downloads/vae/config.json", vae.dump());
    CHECK_ERROR(model.open(), MC_ERROR_READ, "use the VAE that comes with MAGI-1");
}

TEST(configurations_that_contradict_their_tensors) {
    const Model model;
    const auto with = [&](const char* key, int64_t value) {
        MagiDitConfig sizes = model.sizes();
        if (std::string(key) == "layers") sizes.layers = value;
        if (std::string(key) == "ffn") sizes.ffn = value;
        if (std::string(key) == "width") sizes.width = value;
        if (std::string(key) == "gated") sizes.gated = value;
        if (std::string(key) == "fp8") sizes.fp8 = value;
        return sizes;
    };
    CHECK_ERROR(open_magi_dit(model.weights(), with("layers", 4)), MC_ERROR_READ,
                "'videodit_blocks.layers.3.");
    CHECK_ERROR(open_magi_dit(model.weights(), with("layers", 2)), MC_ERROR_READ,
                "holds tensor 'videodit_blocks.layers.2.");
    CHECK_ERROR(open_magi_dit(model.weights(), with("ffn", 512)), MC_ERROR_READ,
                "[256, 128], expected [512, 128]");
    CHECK_ERROR(open_magi_dit(model.weights(), with("width", 256)), MC_ERROR_READ, "expected [");
    CHECK_ERROR(open_magi_dit(model.weights(), with("gated", 1)), MC_ERROR_READ,
                "[256, 128], expected [512, 128]");
    // Weights of sixteen bits where the configuration says eight.
    CHECK_ERROR(open_magi_dit(model.weights(), with("fp8", 1)), MC_ERROR_READ, "videodit_blocks.layers.1.");

    model.write_weights(without(model.tensors(), "rope.bands"));
    CHECK_ERROR(model.open_weights(), MC_ERROR_READ, "rope.bands");
    std::vector<StoredTensor> list = model.tensors();
    list.push_back({"videodit_blocks.layers.0.lora.weight", "BF16", {1}, {}});
    model.write_weights(list);
    CHECK_ERROR(model.open_weights(), MC_ERROR_READ, "lora");
    list = model.tensors();
    list[0].dtype = "I32";
    model.write_weights(list);
    CHECK_ERROR(model.open_weights(), MC_ERROR_READ, list[0].name);
}

TEST(a_tensor_too_many_is_told_with_what_to_take_instead) {
    const Model model;
    const auto add_to = [&](const char* file, std::vector<StoredTensor> list) {
        list.push_back({"lora.weight", "BF16", {1}, {}});
        write_safetensors(model.folder / file, list);
    };
    TextEncoderConfig text = read_t5_text_encoder_config(JsonObject::parse(model.text.dump(), "t5"));
    add_to("downloads/t5_pretrained/t5-v1_1-xxl/model.safetensors", zeros(text_encoder_tensors(text)));
    CHECK_ERROR(open_t5_text_encoder(model.folder / "downloads/t5_pretrained/t5-v1_1-xxl", text), MC_ERROR_READ,
                "use the text encoder that comes with MAGI-1");
    VitVaeConfig vae = read_vit_vae_config(JsonObject::parse(model.vae.dump(), "vae"));
    add_to("downloads/vae/diffusion_pytorch_model.safetensors", zeros(vit_vae_tensors(vae)));
    CHECK_ERROR(open_vit_vae(model.folder / "downloads/vae", vae), MC_ERROR_READ,
                "use the VAE that comes with MAGI-1");
}

TEST(compressed_shards_are_refused_by_name_with_the_remedy) {
    const Model model;
    fs::rename(model.weights() + "/model.safetensors",
               model.weights() + "/model-00002-of-00002.safetensors.zst");
    CHECK_ERROR(
        model.open_weights(), MC_ERROR_READ,
        "model-00002-of-00002.safetensors.zst: is compressed (zstd), which is not read; unpack it: zstd -d --rm "
        "model-00002-of-00002.safetensors.zst");
    // One that was unpacked and left is no obstacle.
    write_file(model.weights() + "/model.safetensors.zst", "x");
    fs::remove(model.weights() + "/model-00002-of-00002.safetensors.zst");
    model.write_weights(model.tensors());
    CHECK(!model.open_weights()->all().empty());
}

TEST(the_packing_of_magi_1_1_is_refused_by_name) {
    const Model model;
    std::vector<StoredTensor> list = model.tensors();
    list.push_back({"videodit_blocks.layers.self_attention.linear_qkv.weight", "BF16", {3, 128, 128}, {}});
    model.write_weights(list);
    CHECK_ERROR(model.open_weights(), MC_ERROR_READ,
                "(the packing of MAGI-1.1), which is not supported; use the weights of MAGI-1 (4.5B or 24B)");
}

TEST(weights_of_eight_bits_need_their_scales) {
    const Model model(true);
    CHECK_EQ(model.open().places.weights, model.weights());
    CHECK(!model.open_weights()->all().empty());
    const std::string layer = "videodit_blocks.layers.1.";
    for (const char* scale :
         {"self_attention.linear_qkv.q.weight_scale", "self_attention.linear_qkv.k.input_scale",
          "self_attention.linear_proj.smooth_scale", "mlp.linear_fc2.weight_scale"}) {
        model.write_weights(without(model.tensors(), layer + scale));
        CHECK_ERROR(model.open_weights(), MC_ERROR_READ, scale);
    }
}

int main(int argc, char** argv) {
    return mc::test::run_tests(argc, argv);
}
