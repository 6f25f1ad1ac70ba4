// SPDX-License-Identifier: LGPL-2.1-or-later
#include "engine/families/skyreels_v2/folder.h"

#include <filesystem>

#include "engine/families/skyreels_v2/generation_config.h"
#include "engine/model/folder_listing.h"
#include "engine/model/read_error.h"
#include "engine/networks/t5/t5_files.h"
#include "engine/networks/wan_dit/wan_dit_files.h"
#include "engine/networks/wan_vae/wan_vae_files.h"

namespace mc::model {

namespace fs = std::filesystem;

namespace {

bool is_file(const std::string& path) {
    std::error_code error;
    return fs::is_regular_file(path, error);
}

struct OpenTransformer {
    JsonObject config;
    WeightFiles weights;
};

OpenTransformer open_transformer_files(const std::string& folder) {
    JsonObject config = JsonObject::read(folder + "/config.json");
    transformer_layout(config); // a wrong class explains better what the weights lack
    return {config, open_weight_shards(folder)};
}

std::unique_ptr<Tensors> name_transformer(OpenTransformer& files, TransformerConfig& config) {
    config = read_transformer_config(files.config, files.weights.tensors);
    return name_tensors(std::move(files.weights), transformer_layout(files.config),
                        transformer_tensors(config), transformer_rules());
}

} // namespace

std::unique_ptr<Tensors> open_transformer(const std::string& path, TransformerConfig& config) {
    OpenTransformer files = open_transformer_files(path);
    return name_transformer(files, config);
}

std::unique_ptr<Tensors> open_vae(const std::string& path, VaeConfig& config) {
    bool single = is_file(path);
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

std::unique_ptr<Tensors> open_text_encoder(const std::string& path, TextEncoderConfig& config) {
    bool single = is_file(path);
    WeightFiles weights{};
    if (single) {
        weights = open_weight_file(path);
        config = infer_text_encoder_config(weights.tensors, path);
    } else {
        config = read_text_encoder_config(JsonObject::read(path + "/config.json"));
        weights = open_weight_shards(path);
    }
    return name_tensors(std::move(weights), single ? Layout::ORIGINAL : Layout::DIFFUSERS,
                        text_encoder_tensors(config), text_encoder_rules());
}

namespace skyreels_v2 {

namespace {

constexpr const char* DOWNLOAD_MODEL = "download the whole model folder";

struct Parts {
    std::string transformer, vae, text_encoder, tokenizer;
};

// Why a part is not there although a file of nearly its name is.
std::string but_only(const std::string& side) {
    return side.empty() ? "" : ", only " + in_quotes(side) + ", " + what_side_file_is(side);
}

// The text encoder's name carries its precision.
std::string find_text_encoder(const std::string& folder) {
    const FolderListing listing = list_folder(folder);
    std::vector<std::string> found;
    for (const std::string& name : listing.names)
        if (name.starts_with("models_t5_") && name.ends_with(".pth")) found.push_back(name);
    if (found.empty()) {
        std::string only;
        for (const std::string& name : listing.side)
            if (name.find("models_t5_") != std::string::npos) only = name;
        throw not_found(folder, "lacks the text encoder (models_t5_umt5-xxl-enc-bf16.pth)" + but_only(only),
                        DOWNLOAD_MODEL);
    }
    if (found.size() > 1)
        throw read_error(folder,
                         "has two text encoders (" + in_quotes(found[0]) + ", " + in_quotes(found[1]) + ")",
                         "keep one of them");
    return folder + "/" + found[0];
}

Parts find_parts(const std::string& folder, Layout layout) {
    Parts parts;
    if (layout == Layout::ORIGINAL)
        parts = {folder, folder + "/Wan2.1_VAE.pth", find_text_encoder(folder),
                 folder + "/google/umt5-xxl/spiece.model"};
    else
        parts = {folder + "/transformer", folder + "/vae", folder + "/text_encoder",
                 folder + "/tokenizer/spiece.model"};
    std::error_code error;
    for (const auto& [part, label] :
         {std::pair{parts.transformer, "transformer"}, std::pair{parts.vae, "VAE"},
          std::pair{parts.text_encoder, "text encoder"}, std::pair{parts.tokenizer, "tokenizer"}})
        if (!fs::exists(part, error))
            throw not_found(folder,
                            std::string("lacks the ") + label + " (" + part.substr(folder.size() + 1) + ")" +
                                but_only(side_file_of(part)),
                            DOWNLOAD_MODEL);
    return parts;
}

// Published folders do not state their resolution; these two places may carry the model's name.
bool says_720p(const JsonObject& config) {
    return config.has("_name_or_path") && config.text("_name_or_path").find("720P") != std::string::npos;
}
bool is_for_720p(const OpenTransformer& files) {
    for (const auto& [name, view] : files.weights.tensors)
        if (name.starts_with("model_type.") && name.find("720P") != std::string::npos) return true;
    return says_720p(files.config);
}

// generation_config.json, where there is one.
void read_defaults(const std::string& folder, const TransformerConfig& transformer, const VaeConfig& vae,
                   GenerationDefaults& defaults) {
    const std::string file = folder + "/generation_config.json";
    std::error_code error;
    if (!fs::exists(fs::symlink_status(file, error))) return;
    const JsonObject config = JsonObject::read(file);
    read_generation_config(config, defaults);
    const int64_t rows = vae.spatial_factor * transformer.patch[1],
                  columns = vae.spatial_factor * transformer.patch[2];
    if (defaults.height % rows) config.refuse("height", "a multiple of " + std::to_string(rows));
    if (defaults.width % columns) config.refuse("width", "a multiple of " + std::to_string(columns));
}

class Folder final : public ModelFolder {
  public:
    Folder(const std::string& folder, Layout of) : parts_(find_parts(folder, of)) {
        path = folder;
        layout = of;
        family = "skyreels_v2";
        tokenizer_file = parts_.tokenizer;
        DataFile::open(tokenizer_file); // there, and not a pointer to it
        OpenTransformer files = open_transformer_files(parts_.transformer);
        defaults = series_defaults(is_for_720p(files));
        name_transformer(files, transformer);
        open_vae(parts_.vae, vae);
        open_text_encoder(parts_.text_encoder, text_encoder);
        require_fit();
        read_defaults(folder, transformer, vae, defaults);
    }
    std::unique_ptr<Tensors> transformer_tensors() const override {
        TransformerConfig config;
        return open_transformer(parts_.transformer, config);
    }
    std::unique_ptr<Tensors> vae_tensors() const override {
        VaeConfig config;
        return open_vae(parts_.vae, config);
    }
    std::unique_ptr<Tensors> text_encoder_tensors() const override {
        TextEncoderConfig config;
        return open_text_encoder(parts_.text_encoder, config);
    }

  private:
    Parts parts_;

    void require_fit() const {
        auto require = [&](int64_t a, const char* a_name, int64_t b, const char* b_name) {
            if (a != b)
                throw read_error(path,
                                 std::string(a_name) + " is " + std::to_string(a) + " and " + b_name +
                                     " is " + std::to_string(b) + ": its parts are from different models",
                                 DOWNLOAD_MODEL);
        };
        require(transformer.in_channels, "the number of the transformer's channels", vae.latent_channels,
                "that of the VAE's latents");
        require(transformer.text_width, "the text width of the transformer", text_encoder.width,
                "that of the text encoder");
    }
};

} // namespace

std::unique_ptr<ModelFolder> open_folder(const std::string& path, Layout layout) {
    return std::make_unique<Folder>(path, layout);
}

std::vector<FolderOutline> outlines(const std::string& path, Layout layout) {
    const bool original = layout == Layout::ORIGINAL;
    const JsonObject config = JsonObject::read(path + (original ? "/config.json" : "/transformer/config.json"));
    FolderOutline outline;
    outline.transformer = outline_transformer_config(config);
    if (!original) outline.vae = read_vae_config(JsonObject::read(path + "/vae/config.json"));
    std::vector<FolderOutline> found;
    for (bool for_720p : {false, true}) {
        if (!for_720p && says_720p(config)) continue;
        outline.defaults = series_defaults(for_720p);
        read_defaults(path, outline.transformer, outline.vae, outline.defaults);
        found.push_back(outline);
        if (config.has("inject_sample_info")) continue;
        outline.transformer.fps_embedding = true;
        found.push_back(outline);
        outline.transformer.fps_embedding = false;
    }
    return found;
}

} // namespace skyreels_v2

} // namespace mc::model
