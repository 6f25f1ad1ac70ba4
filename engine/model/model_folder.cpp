// SPDX-License-Identifier: LGPL-2.1-or-later
#include "engine/model/model_folder.h"

#include <filesystem>

#include "engine/families/skyreels_v2/folder.h"
#include "engine/model/folder_listing.h"
#include "engine/model/read_error.h"

namespace mc::model {

namespace fs = std::filesystem;

namespace {

constexpr const char* GIVE_FOLDER =
    "set the model path to a SkyReels-V2 folder as published, in the original or the Diffusers layout";
constexpr const char* SUPPORTED =
    "the supported models are the SkyReels-V2 Diffusion Forcing series and the demo model";

void require_folder(const std::string& path) {
    if (path.empty())
        throw Error(MC_ERROR_NOT_FOUND, std::string("The model path is empty; ") + GIVE_FOLDER + ".");
    std::error_code error;
    fs::file_status status = fs::status(path, error);
    if (!fs::exists(status)) throw not_found(path, "there is no such folder", GIVE_FOLDER);
    if (!fs::is_directory(status))
        throw not_found(path, "is a file, not a folder", "set the model path to the folder of the model");
    const FolderListing listing = list_folder(path);
    if (listing.names.empty())
        throw not_found(path,
                        listing.side.empty()
                            ? "is an empty folder"
                            : "holds nothing of a model, only " + in_quotes(listing.side[0]) + ", " +
                                  what_side_file_is(listing.side[0]),
                        "download the model into it, or correct the model path");
}

std::string class_of(const JsonObject& config) {
    return config.has("_class_name") ? config.text("_class_name") : "";
}

Layout read_pipeline(const JsonObject& index) {
    std::string name = class_of(index);
    if (name == "SkyReelsV2ImageToVideoPipeline")
        throw read_error(index.file(), "describes an image-to-video model (I2V), which is not supported",
                         SUPPORTED);
    if (!name.starts_with("SkyReelsV2")) index.refuse("_class_name", "a SkyReelsV2 pipeline", SUPPORTED);
    return Layout::DIFFUSERS;
}

Layout read_root_config(const JsonObject& config, const std::string& path) {
    std::string name = class_of(config);
    if (name == "WanModel" || (name.empty() && config.has("dim") && config.has("ffn_dim")))
        return Layout::ORIGINAL;
    // A text encoder's config has no class of this kind, only a model type.
    std::string type = config.has("model_type") ? config.text("model_type") : "";
    if (name == "SkyReelsV2Transformer3DModel" || name == "AutoencoderKLWan" || type == "umt5")
        throw read_error(path, "is one part of a model", "set the model path to the folder above it");
    throw read_error(path,
                     "is of an unknown family of models (its config.json says " +
                         in_quotes(name.empty() ? type : name) + ")",
                     SUPPORTED);
}

bool has(const std::string& path) {
    std::error_code error;
    return fs::exists(path, error);
}

} // namespace

namespace {

struct Found {
    std::string folder;
    Layout layout;
};

Found find(const std::string& path) {
    require_folder(path);
    std::string folder = path;
    while (folder.size() > 1 && folder.back() == '/') folder.pop_back();
    std::string index = folder + "/model_index.json", config = folder + "/config.json";
    if (has(index)) return {folder, read_pipeline(JsonObject::read(index))};
    if (has(config)) return {folder, read_root_config(JsonObject::read(config), folder)};
    throw not_found(folder, "is not a model folder: it holds neither model_index.json nor config.json",
                    GIVE_FOLDER);
}

} // namespace

std::unique_ptr<ModelFolder> ModelFolder::open(const std::string& path) {
    const Found found = find(path);
    return skyreels_v2::open_folder(found.folder, found.layout);
}

std::vector<FolderOutline> outlines(const std::string& path) {
    const Found found = find(path);
    return skyreels_v2::outlines(found.folder, found.layout);
}

} // namespace mc::model
