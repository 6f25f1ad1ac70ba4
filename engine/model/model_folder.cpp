// SPDX-License-Identifier: LGPL-2.1-or-later
#include "engine/model/model_folder.h"

#include <filesystem>
#include <optional>
#include <utility>
#include <vector>

#include "engine/families/magi1/folder.h"
#include "engine/families/skyreels_v2/folder.h"
#include "engine/model/folder_listing.h"
#include "engine/model/read_error.h"

namespace mc::model {

namespace fs = std::filesystem;

namespace {

// Each: whether the path holds a model of the family, empty where it does not; throws where it does and it is damaged.
struct Family {
    const char *name, *shown;
    const char *models, *path; // which are supported; what the model path is set to
    std::optional<Claim> (*claim)(const std::string& path);
    PictureSizes (*pictures)(const std::string& place);
};
constexpr Family FAMILIES[] = {
    {"skyreels-v2", "SkyReels-V2", "the SkyReels-V2 Diffusion Forcing series",
     "a SkyReels-V2 folder as published, in the original or the Diffusers layout", skyreels_v2::claim,
     skyreels_v2::pictures},
    {"magi1", "MAGI-1", "MAGI-1", "the JSON file of a MAGI-1 model", magi1::claim, magi1::pictures},
};

std::string of_all(const char* Family::*text, const char* between) {
    std::string all;
    for (const Family& family : FAMILIES) all += (all.empty() ? "" : between) + std::string(family.*text);
    return all;
}

std::string give_model() {
    return "set the model path to " + of_all(&Family::path, ", or to ");
}

void require_something(const std::string& path) {
    if (path.empty())
        throw Error(MC_ERROR_NOT_FOUND, "The model path is empty; " + give_model() + ".");
    std::error_code error;
    const fs::file_status status = fs::status(path, error);
    if (!fs::exists(status)) throw not_found(path, "there is no such folder or file", give_model());
    if (!fs::is_directory(status)) return;
    const FolderListing listing = list_folder(path);
    if (listing.names.empty())
        throw not_found(path,
                        listing.side.empty()
                            ? "is an empty folder"
                            : "holds nothing of a model, only " + in_quotes(listing.side[0]) + ", " +
                                  what_side_file_is(listing.side[0]),
                        "download the model into it, or correct the model path");
}

// What a folder says that it is, as Diffusers or Transformers write it down.
std::string class_in(const std::string& file) {
    const JsonObject config = JsonObject::read(file);
    for (const char* key : {"_class_name", "model_type"})
        if (config.has(key)) return config.text(key);
    return "";
}

[[noreturn]] void refuse_unknown(const std::string& path) {
    if (!fs::is_directory(path))
        throw not_found(path, "is a file, not a folder, and not one that describes a model", give_model());
    for (const char* name : {"model_index.json", "config.json"}) {
        const std::string file = path + "/" + name;
        if (is_file(file))
            throw read_error(path,
                             std::string("is of an unknown family of models (its ") + name + " says " +
                                 in_quotes(class_in(file)) + ")",
                             "the supported models are " + of_all(&Family::models, ", ") + " and the demo model");
    }
    throw not_found(
        path,
        "is not a model folder: it holds neither model_index.json nor config.json, and no other file that describes a "
        "model",
        give_model());
}

std::string name_of(const std::string& file) {
    return in_quotes(fs::path(file).filename().string());
}

std::pair<const Family*, Claim> find(const std::string& path) {
    require_something(path);
    std::string at = path;
    while (at.size() > 1 && at.back() == '/') at.pop_back();
    std::vector<std::pair<const Family*, Claim>> claims;
    for (const Family& family : FAMILIES)
        if (auto claim = family.claim(at)) claims.emplace_back(&family, *claim);
    if (claims.empty()) refuse_unknown(at);
    if (claims.size() == 1) return claims.front();
    const auto& [one, first] = claims[0];
    const auto& [other, second] = claims[1];
    std::string named;
    for (const auto& [family, claim] : claims)
        if (claim.by_file) named = "set the model path to " + claim.file + " for " + family->shown + ", or ";
    throw read_error(at,
                     std::string("is the folder of two families of models: ") + name_of(first.file) +
                         " is of " + one->shown + " and " + name_of(second.file) + " of " + other->shown,
                     named + "move one of the models to a folder of its own");
}

} // namespace

FoundModel find_model(const std::string& path) {
    const auto [family, claim] = find(path);
    return {family->name, claim.place};
}

PictureSizes pictures_of(const std::string& path) {
    const auto [family, claim] = find(path);
    return family->pictures(claim.place);
}

} // namespace mc::model
