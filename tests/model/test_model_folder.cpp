// SPDX-License-Identifier: LGPL-2.1-or-later
#include "engine/model/model_folder.h"

#include <filesystem>
#include <nlohmann/json.hpp>

#include "engine/error.h"
#include "engine/families/skyreels_v2/folder.h"
#include "engine/networks/t5/t5_files.h"
#include "engine/networks/wan_dit/wan_dit_files.h"
#include "tests/check.h"
#include "tests/model/published.h"

using namespace mc;
using namespace mc::model;
using namespace mc::test;
using nlohmann::json;
namespace fs = std::filesystem;

namespace {

std::unique_ptr<skyreels_v2::Folder> open_folder(const std::string& path) {
    return skyreels_v2::Folder::open(find_model(path).place);
}

const char* const GOLDEN = "tests/golden/data/weights/";

std::string golden(const std::string& name) {
    return source_path(GOLDEN + name);
}

// A copy of a golden folder for a test to spoil.
struct Copy {
    explicit Copy(const std::string& name) : path(folder / "model") {
        fs::copy(golden(name), path, fs::copy_options::recursive);
    }
    TemporaryFolder folder;
    std::string path;
    std::string operator/(const std::string& name) const { return path + "/" + name; }
    void edit(const std::string& name, const std::string& key, const json& value) const {
        json config = json::parse(read_file(path + "/" + name));
        config[key] = value;
        fs::permissions(path + "/" + name, fs::perms::owner_write, fs::perm_options::add);
        write_file(path + "/" + name, config.dump());
    }
};

float value_at(const TensorView& view, size_t i) {
    if (view.dtype == DType::F32) {
        float value;
        view.read(4 * i, &value, 4);
        return value;
    }
    CHECK(view.dtype == DType::BF16);
    uint16_t half;
    view.read(2 * i, &half, 2);
    uint32_t bits = uint32_t(half) << 16;
    float value;
    std::memcpy(&value, &bits, 4);
    return value;
}

// Same names, shapes and numbers; types may differ.
void check_equal(const Tensors& a, const Tensors& b, size_t count) {
    CHECK_EQ(a.all().size(), count);
    CHECK_EQ(b.all().size(), count);
    for (const auto& [name, view] : a.all()) {
        if (!b.has(name)) {
            fail(__FILE__, __LINE__, "only one has " + name);
            continue;
        }
        const TensorView& other = b.get(name, view.shape);
        size_t elements = view.bytes / size_of(view.dtype), different = 0;
        for (size_t i = 0; i < elements; i++) different += value_at(view, i) != value_at(other, i);
        CHECK_EQ(different, size_t(0));
    }
}

} // namespace

TEST(both_layouts_give_the_same_tensors) {
    auto original = open_folder(golden("original")),
         diffusers = open_folder(golden("diffusers/"));
    CHECK(original->layout == Layout::ORIGINAL && diffusers->layout == Layout::DIFFUSERS);
    CHECK_EQ(find_model(golden("original")).family, "skyreels-v2");
    check_equal(*original->transformer_tensors(), *diffusers->transformer_tensors(), 101);
    check_equal(*original->vae_tensors(), *diffusers->vae_tensors(), 194);
    check_equal(*original->text_encoder_tensors(), *diffusers->text_encoder_tensors(), 32);
    for (const auto* model : {original.get(), diffusers.get()}) {
        CHECK(model->transformer.width == 32 && model->transformer.text_width == 32 &&
              model->transformer.fps_embedding);
        CHECK(model->vae.base == 4 && model->vae.multipliers == (std::vector<int64_t>{1, 2, 4, 4}));
        CHECK(model->text_encoder.heads == 4 && model->text_encoder.head == 8 &&
              model->text_encoder.vocabulary == 768);
        CHECK(fs::exists(model->tokenizer_file));
        CHECK(model->defaults.width == 960 && model->defaults.base_num_frames == 97);
    }
    CHECK(original->vae.latents_mean == diffusers->vae.latents_mean &&
          original->vae.latents_std == diffusers->vae.latents_std);
}

TEST(both_layouts_give_the_same_sharded_transformer) {
    TransformerConfig a, b;
    auto original = open_transformer(golden("original_nofps"), a),
         diffusers = open_transformer(golden("diffusers_nofps/transformer"), b);
    CHECK(!a.fps_embedding && !b.fps_embedding);
    check_equal(*original, *diffusers, 69);
    CHECK_ERROR(original->get("proj_out.weight", {64, 31}), MC_ERROR_READ,
                "'proj_out.weight' has shape [64, 32], expected [64, 31]");
    CHECK_ERROR(original->get("proj_out.scale", {64, 32}), MC_ERROR_READ, "lacks tensor 'proj_out.scale'");
    CHECK_EQ(original->bytes() * 2, diffusers->bytes());
}

TEST(demo_model_has_its_own_defaults) {
    auto demo = open_folder(source_path("models/demo"));
    CHECK(demo->defaults.width == 160 && demo->defaults.height == 96 && demo->defaults.num_frames == 57);
    CHECK(demo->defaults.attention == Attention::KV && demo->defaults.causal_block_size == 3);
    CHECK(demo->vae.residual_blocks == 1 && demo->transformer.head() == 48);
}

TEST(paths_that_are_no_model) {
    TemporaryFolder folder;
    CHECK_ERROR(open_folder(""), MC_ERROR_NOT_FOUND, "model path is empty");
    CHECK_ERROR(open_folder(folder / "absent"), MC_ERROR_NOT_FOUND,
                "there is no such folder or file; set the model path");
    CHECK_ERROR(open_folder(folder.path), MC_ERROR_NOT_FOUND, "is an empty folder");
    write_file(folder / "weights.safetensors", "x");
    CHECK_ERROR(open_folder(folder / "weights.safetensors"), MC_ERROR_NOT_FOUND,
                "is a file, not a folder");
    CHECK_ERROR(open_folder(folder.path), MC_ERROR_NOT_FOUND,
                "holds neither model_index.json nor config.json");
    for (const char* part : {"transformer", "vae", "text_encoder"})
        CHECK_ERROR(open_folder(golden("diffusers/") + part), MC_ERROR_READ,
                    "set the model path to the folder above it");
    write_file(folder / "other/config.json",
               R"({"model_type": "llama", "architectures": ["LlamaForCausalLM"]})");
    CHECK_ERROR(open_folder(folder / "other"), MC_ERROR_READ,
                "unknown family of models (its config.json says 'llama')");
    write_file(folder / "pipe/model_index.json", R"({"_class_name": "WanPipeline"})");
    CHECK_ERROR(open_folder(folder / "pipe"), MC_ERROR_READ,
                "the supported models are the SkyReels-V2");
    write_file(folder / "i2v/model_index.json", R"({"_class_name": "SkyReelsV2ImageToVideoPipeline"})");
    CHECK_ERROR(open_folder(folder / "i2v"), MC_ERROR_READ,
                "image-to-video model (I2V), which is not supported");
}

namespace {

const char* const MAGI = R"({"model_config": {}, "runtime_config": {}, "engine_config": {}})";

} // namespace

TEST(a_model_is_known_by_what_its_files_say) {
    TemporaryFolder folder;
    write_file(folder / "4.5B_distill.json", MAGI);
    for (const std::string& path : {folder.path, folder.path + "/", folder / "4.5B_distill.json"}) {
        const FoundModel found = find_model(path);
        CHECK_EQ(found.family, "magi1");
        CHECK_EQ(found.place, folder / "4.5B_distill.json");
    }
    // Whatever it is called; a section that is missing is told when it is opened.
    write_file(folder / "other/config.json", R"({"model_config": {}, "engine_config": {}})");
    CHECK_EQ(find_model(folder / "other").place, folder / "other/config.json");
    // A folder with nothing of a model belongs to no family, damaged or not.
    write_file(folder / "note.json", "{");
    CHECK_EQ(find_model(folder.path).family, "magi1");
    write_file(folder / "note/note.json", "{\"model_config\": 1}");
    CHECK_ERROR(find_model(folder / "note"), MC_ERROR_NOT_FOUND, "no other file that describes a model");
    CHECK_ERROR(find_model(folder / "note/note.json"), MC_ERROR_NOT_FOUND,
                "not one that describes a model; set the model path to a SkyReels-V2 folder");
}

TEST(a_spoiled_configuration_is_named_and_no_other_family_taken) {
    for (const char* name : {"original", "diffusers"}) {
        Copy model(name);
        write_file(model / "magi.json", std::string(MAGI).substr(0, 50));
        CHECK_ERROR(find_model(model.path), MC_ERROR_READ, "magi.json");
        CHECK_ERROR(find_model(model / "magi.json"), MC_ERROR_READ, "magi.json");
        write_file(model / "magi.json", MAGI);
        CHECK_ERROR(find_model(model.path), MC_ERROR_READ,
                    std::string("two families of models: '") +
                        (name[0] == 'o' ? "config.json" : "model_index.json") +
                        "' is of SkyReels-V2 and 'magi.json' of MAGI-1; set the model path to " +
                        (model / "magi.json") + " for MAGI-1");
        CHECK_EQ(find_model(model / "magi.json").family, "magi1");
        write_file(model / "magi_2.json", MAGI);
        CHECK_ERROR(find_model(model.path), MC_ERROR_READ, "several configurations of MAGI-1");
    }
}

TEST(pictures_are_what_the_family_says) {
    const PictureSizes demo = pictures_of(source_path("models/demo"));
    CHECK(demo.width == 160 && demo.height == 96 && demo.num_frames == 57 && demo.chunk_latents == 3);
    CHECK(demo.step_width == 16 && demo.least_height == 16 && demo.largest_width == 16384);
    TemporaryFolder folder;
    write_file(folder / "magi.json", R"({"model_config": {}, "runtime_config": {
        "cfg_number": 1, "cfg_t_range": [0.0], "prev_chunk_scales": [1.5], "text_scales": [7.5], "noise2clean_kvrange": [5, 4],
        "clean_chunk_kvrange": 1, "clean_t": 0.9999, "seed": 1234, "num_frames": 96, "video_size_h": 720, "video_size_w": 1280,
        "num_steps": 16, "window_size": 4, "fps": 24, "chunk_width": 6, "temporal_downsample_factor": 4, "scale_factor": 0.18215
      }, "engine_config": {"distill": true, "fp8_quant": false, "distill_nearly_clean_chunk_threshold": 0.3,
        "shortcut_mode": "8,16,16"}})");
    const PictureSizes magi = pictures_of(folder.path);
    CHECK(magi.width == 1280 && magi.height == 720 && magi.num_frames == 96 && magi.chunk_latents == 6);
    CHECK(magi.step_width == 16 && magi.least_width == 32 && magi.frame_rate_n == 24 && magi.frame_rate_d == 1);
}

TEST(folders_with_a_part_missing) {
    for (const auto& [name, part, label] :
         {std::tuple{"original", "Wan2.1_VAE.pth", "lacks the VAE (Wan2.1_VAE.pth)"},
          {"original", "models_t5_umt5-xxl-enc-bf16.pth",
           "lacks the text encoder (models_t5_umt5-xxl-enc-bf16.pth)"},
          {"original", "google", "lacks the tokenizer (google/umt5-xxl/spiece.model)"},
          {"original", "model.safetensors", "holds no *.safetensors file"},
          {"diffusers", "transformer", "lacks the transformer (transformer)"},
          {"diffusers", "vae", "lacks the VAE (vae)"},
          {"diffusers", "text_encoder", "lacks the text encoder (text_encoder)"},
          {"diffusers", "tokenizer/spiece.model", "lacks the tokenizer (tokenizer/spiece.model)"},
          {"diffusers", "transformer/config.json", "transformer/config.json: there is no such file"},
          {"diffusers", "vae/diffusion_pytorch_model.safetensors", "holds no *.safetensors file"}}) {
        Copy model(name);
        fs::remove_all(model / part);
        CHECK_ERROR(open_folder(model.path), MC_ERROR_NOT_FOUND, label);
    }
    Copy model("original");
    fs::copy(model / "models_t5_umt5-xxl-enc-bf16.pth", model / "models_t5_umt5-xxl-enc-fp8.pth");
    CHECK_ERROR(open_folder(model.path), MC_ERROR_READ, "two text encoders");
    Copy scheduler("diffusers"); // whose numbers are not read
    fs::remove_all(scheduler / "scheduler");
    CHECK_EQ(open_folder(scheduler.path)->transformer.layers, 3);
}

TEST(pointers_in_place_of_files) {
    const std::string pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 5\n";
    for (const char* part : {"model.safetensors", "Wan2.1_VAE.pth", "models_t5_umt5-xxl-enc-bf16.pth",
                             "google/umt5-xxl/spiece.model", "config.json"}) {
        Copy model("original");
        fs::remove(model / part);
        write_file(model / part, pointer);
        CHECK_ERROR(open_folder(model.path), MC_ERROR_READ,
                    std::string(part) + ": is a Git LFS pointer");
    }
}

TEST(tensors_missing_unknown_or_of_another_shape) {
    Copy model("diffusers");
    model.edit("transformer/config.json", "num_layers", 4);
    CHECK_ERROR(open_folder(model.path), MC_ERROR_READ,
                "lacks 27 of the 128 tensors of the transformer, first 'blocks.3.scale_shift_table'");
    model.edit("transformer/config.json", "num_layers", 2);
    CHECK_ERROR(open_folder(model.path), MC_ERROR_READ, "holds tensor 'blocks.2.");
    model.edit("transformer/config.json", "num_layers", 3);
    model.edit("transformer/config.json", "ffn_dim", 64);
    CHECK_ERROR(open_folder(model.path), MC_ERROR_READ,
                "'blocks.0.ffn.net.0.proj.weight' has shape [48, 32], expected [64, 32]");
    model.edit("transformer/config.json", "ffn_dim", 48);
    model.edit("vae/config.json", "base_dim", 8);
    CHECK_ERROR(open_folder(model.path), MC_ERROR_READ,
                "has shape [4, 3, 3, 3, 3], expected [8, 3, 3, 3, 3]");
    model.edit("vae/config.json", "base_dim", 4);
    model.edit("text_encoder/config.json", "num_layers", 2);
    CHECK_ERROR(open_folder(model.path), MC_ERROR_READ,
                "which the text encoder its config describes does not have");
}

TEST(parts_of_different_models) {
    Copy model("diffusers");
    fs::remove_all(model / "text_encoder");
    fs::copy(source_path("models/demo/text_encoder"), model / "text_encoder", fs::copy_options::recursive);
    CHECK_ERROR(open_folder(model.path), MC_ERROR_READ,
                "the text width of the transformer is 32 and that of the text encoder is 128");
}

TEST(defaults_of_a_folder) {
    Copy model("diffusers");
    write_file(model / "generation_config.json", R"({"steps": 12, "width": 320})");
    auto folder = open_folder(model.path);
    CHECK(folder->defaults.steps == 12 && folder->defaults.width == 320 && folder->defaults.height == 544);
    write_file(model / "generation_config.json", R"({"width": 321})");
    CHECK_ERROR(open_folder(model.path), MC_ERROR_READ,
                "generation_config.json: field 'width' is '321', expected a multiple of 16");
    write_file(model / "generation_config.json", R"({"height": 100})");
    CHECK_ERROR(open_folder(model.path), MC_ERROR_READ,
                "field 'height' is '100', expected a multiple of 16");
    write_file(model / "generation_config.json", R"({"widht": 320})");
    CHECK_ERROR(open_folder(model.path), MC_ERROR_READ, "unknown field 'widht'");
    fs::remove(model / "generation_config.json");
    fs::create_directory(model / "generation_config.json"); // there, so not to be passed over
    CHECK_ERROR(open_folder(model.path), MC_ERROR_READ, "generation_config.json");
    fs::remove(model / "generation_config.json");
    fs::create_symlink(model / "nowhere.json", model / "generation_config.json");
    CHECK_ERROR(open_folder(model.path), MC_ERROR_NOT_FOUND, "generation_config.json");
    fs::remove(model / "generation_config.json");
    model.edit("transformer/config.json", "_name_or_path", "Skywork/SkyReels-V2-DF-14B-720P-Diffusers");
    CHECK_EQ(open_folder(model.path)->defaults.base_num_frames, 121);
}

TEST(names_that_are_passed_over) {
    Copy model("original");
    // The marker of some published files, and a norm that Diffusers passes over too.
    write_safetensors(model / "more.safetensors", {{"model_type.SkyReels-V2-DF-14B-720P", "F32", {1}, ""},
                                                   {"blocks.0.attn2.norm_added_q.weight", "F32", {32}, ""}});
    auto folder = open_folder(model.path);
    CHECK_EQ(folder->transformer_tensors()->all().size(), size_t(101));
    CHECK(folder->defaults.width == 1280 && folder->defaults.height == 720 &&
          folder->defaults.base_num_frames == 121);
    write_safetensors(model / "more.safetensors", {{"blocks.0.lora.weight", "F32", {1}, ""}});
    CHECK_ERROR(open_folder(model.path), MC_ERROR_READ, "holds tensor 'blocks.0.lora.weight'");
    fs::remove(model / "more.safetensors");
    write_safetensors(model / "model.safetensors",
                      {{"text_embedding.0.weight", "F32", {32, 32}, ""},
                       {"fps_embedding.weight", "I64", {2, 32}, ""},
                       {"patch_embedding.weight", "I64", {32, 16, 1, 2, 2}, ""}});
    CHECK_ERROR(open_folder(model.path), MC_ERROR_READ,
                "'patch_embedding.weight' is of type I64, expected F32, F16 or BF16");
}

TEST(either_name_of_the_tied_embedding) {
    TextEncoderConfig config;
    std::vector<StoredTensor> tensors;
    auto stored = open_text_encoder(golden("diffusers/text_encoder"), config);
    for (const auto& [name, view] : stored->all()) tensors.push_back({name, "F32", view.shape, ""});
    auto written = [&](const std::vector<StoredTensor>& list) {
        TemporaryFolder folder;
        write_safetensors(folder / "model.safetensors", list);
        fs::copy(golden("diffusers/text_encoder/config.json"), folder / "config.json");
        return open_text_encoder(folder.path, config)->all().size();
    };
    std::vector<StoredTensor> alias = tensors, both = tensors;
    for (StoredTensor& tensor : alias)
        if (tensor.name == "shared.weight") tensor.name = "encoder.embed_tokens.weight";
    both.push_back({"encoder.embed_tokens.weight", "F32", {768, 32}, ""});
    CHECK_EQ(written(tensors), size_t(32));
    CHECK_EQ(written(alias), size_t(32));
    CHECK_EQ(written(both), size_t(32));
    both.back().shape = {768, 16};
    CHECK_ERROR(written(both), MC_ERROR_READ, "'encoder.embed_tokens.weight' has shape [768, 16]");
    std::erase_if(alias,
                  [](const StoredTensor& tensor) { return tensor.name == "encoder.embed_tokens.weight"; });
    CHECK_ERROR(written(alias), MC_ERROR_READ,
                "lacks 1 of the 32 tensors of the text encoder, first 'shared.weight'");
}
