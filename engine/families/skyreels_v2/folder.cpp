// SPDX-License-Identifier: LGPL-2.1-or-later
#include "engine/families/skyreels_v2/folder.h"

#include <filesystem>

#include "engine/model/folder_listing.h"
#include "engine/model/read_error.h"
#include "engine/networks/t5/t5_files.h"
#include "engine/networks/wan_dit/wan_dit_files.h"
#include "engine/networks/wan_vae/wan_vae_files.h"

namespace mc::model::skyreels_v2 {

namespace fs = std::filesystem;

namespace {

constexpr const char* DOWNLOAD_MODEL = "download the whole model folder";

constexpr const char* SUPPORTED = "the supported models of its kind are the SkyReels-V2 Diffusion Forcing series";

Layout layout_of(const std::string& folder) {
    return is_file(folder + "/model_index.json") ? Layout::DIFFUSERS : Layout::ORIGINAL;
}

std::string text_in(const JsonObject& config, const char* key) {
    return config.has(key) ? config.text(key) : "";
}

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

// Published folders do not state their resolution; these two places may carry the model's name.
bool says_720p(const JsonObject& config) {
    return config.has("_name_or_path") && config.text("_name_or_path").find("720P") != std::string::npos;
}
bool is_for_720p(const TransformerFiles& files) {
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

} // namespace

std::optional<Claim> claim(const std::string& folder) {
    const std::string index = folder + "/model_index.json", file = folder + "/config.json";
    std::error_code error;
    if (fs::exists(index, error)) {
        const std::string name = text_in(JsonObject::read(index), "_class_name");
        if (name == "SkyReelsV2ImageToVideoPipeline")
            throw read_error(index, "describes an image-to-video model (I2V), which is not supported", SUPPORTED);
        if (!name.starts_with("SkyReelsV2")) return std::nullopt;
        return Claim{folder, index, false};
    }
    if (!fs::exists(file, error)) return std::nullopt;
    const JsonObject config = JsonObject::read(file);
    // A text encoder has no class of this kind, only a model type.
    const std::string name = text_in(config, "_class_name");
    if (name == "SkyReelsV2Transformer3DModel" || name == "AutoencoderKLWan" || text_in(config, "model_type") == "umt5")
        throw read_error(folder, "is one part of a model", "set the model path to the folder above it");
    if (name == "WanModel" || (name.empty() && config.has("dim") && config.has("ffn_dim")))
        return Claim{folder, file, false};
    return std::nullopt;
}

// The headers of the weight files tell more than the JSON files. Errors in them are told when the model is opened,
// after settings that contradict each other.
PictureSizes pictures(const std::string& folder) {
    FolderOutline outline = outlines(folder).front();
    try {
        outline = *Folder::open(folder);
    } catch (const Error&) {
    }
    const GenerationDefaults& d = outline.defaults;
    const TransformerConfig& t = outline.transformer;
    PictureSizes p;
    p.step_height = p.least_height = int(outline.vae.spatial_factor * t.patch[1]);
    p.step_width = p.least_width = int(outline.vae.spatial_factor * t.patch[2]);
    p.largest_height = int(t.rope_length * p.step_height);
    p.largest_width = int(t.rope_length * p.step_width);
    p.width = d.width, p.height = d.height;
    p.frame_rate_n = d.frame_rate_n, p.frame_rate_d = d.frame_rate_d;
    p.num_frames = d.num_frames;
    p.chunk_latents = d.causal_block_size;
    return p;
}

Folder::Parts Folder::find_parts(const std::string& folder, Layout layout) {
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

std::unique_ptr<Folder> Folder::open(const std::string& folder) {
    auto f = std::make_unique<Folder>();
    f->path = folder;
    while (f->path.size() > 1 && f->path.back() == '/') f->path.pop_back();
    f->layout = layout_of(f->path);
    f->parts_ = find_parts(f->path, f->layout);
    f->tokenizer_file = f->parts_.tokenizer;
    DataFile::open(f->tokenizer_file); // there, and not a pointer to it
    TransformerFiles files = open_transformer_files(f->parts_.transformer);
    f->defaults = series_defaults(is_for_720p(files));
    name_transformer(files, f->transformer);
    open_vae(f->parts_.vae, f->vae);
    open_text_encoder(f->parts_.text_encoder, f->text_encoder);
    f->require_fit();
    read_defaults(f->path, f->transformer, f->vae, f->defaults);
    return f;
}

std::unique_ptr<Tensors> Folder::transformer_tensors() const {
    TransformerConfig config;
    return open_transformer(parts_.transformer, config);
}

std::unique_ptr<Tensors> Folder::vae_tensors() const {
    VaeConfig config;
    return open_vae(parts_.vae, config);
}

std::unique_ptr<Tensors> Folder::text_encoder_tensors() const {
    TextEncoderConfig config;
    return open_text_encoder(parts_.text_encoder, config);
}

void Folder::require_fit() const {
    auto require = [&](int64_t a, const char* a_name, int64_t b, const char* b_name) {
        if (a != b)
            throw read_error(path,
                             std::string(a_name) + " is " + std::to_string(a) + " and " + b_name + " is " +
                                 std::to_string(b) + ": its parts are from different models",
                             DOWNLOAD_MODEL);
    };
    require(transformer.in_channels, "the number of the transformer's channels", vae.latent_channels,
            "that of the VAE's latents");
    require(transformer.text_width, "the text width of the transformer", text_encoder.width,
            "that of the text encoder");
}

std::vector<FolderOutline> outlines(const std::string& folder) {
    const bool original = layout_of(folder) == Layout::ORIGINAL;
    const JsonObject config = JsonObject::read(folder + (original ? "/config.json" : "/transformer/config.json"));
    FolderOutline outline;
    outline.transformer = outline_transformer_config(config);
    if (!original) outline.vae = read_vae_config(JsonObject::read(folder + "/vae/config.json"));
    std::vector<FolderOutline> found;
    for (bool for_720p : {false, true}) {
        if (!for_720p && says_720p(config)) continue;
        outline.defaults = series_defaults(for_720p);
        read_defaults(folder, outline.transformer, outline.vae, outline.defaults);
        found.push_back(outline);
        if (config.has("inject_sample_info")) continue;
        outline.transformer.fps_embedding = true;
        found.push_back(outline);
        outline.transformer.fps_embedding = false;
    }
    return found;
}

} // namespace mc::model::skyreels_v2
