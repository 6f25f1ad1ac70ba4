// SPDX-License-Identifier: LGPL-2.1-or-later
#include "engine/model/folder_listing.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <string_view>

#include "engine/model/read_error.h"

namespace mc::model {

namespace fs = std::filesystem;

namespace {

// As curl, wget, aria2, browsers, huggingface_hub and rsync's users call what is not there yet.
constexpr std::array<std::string_view, 9> UNFINISHED{
    ".part", ".partial", ".incomplete", ".aria2", ".crdownload", ".download", ".tmp", ".temp", ".filepart"};

bool is_unfinished(std::string_view name) {
    return std::any_of(UNFINISHED.begin(), UNFINISHED.end(),
                       [&](std::string_view ending) { return name.ends_with(ending); });
}

} // namespace

bool is_file(const std::string& path) {
    std::error_code error;
    return fs::is_regular_file(path, error);
}

bool is_side_file(const std::string& name) {
    return name.starts_with('.') || is_unfinished(name) || name.ends_with(".lock") || name.ends_with('~') ||
           name == "Thumbs.db" || name == "desktop.ini" || name == "__MACOSX";
}

std::string what_side_file_is(const std::string& name) {
    if (is_unfinished(name)) return "an unfinished download";
    if (name.starts_with("._")) return "which macOS keeps beside a file";
    return name.starts_with('.') ? "a hidden file" : "which is no part of a model";
}

FolderListing list_folder(const std::string& folder) {
    std::error_code error;
    FolderListing listing;
    for (fs::directory_iterator at(folder, error), end; !error && at != end; at.increment(error)) {
        std::string name = at->path().filename().string();
        (is_side_file(name) ? listing.side : listing.names).push_back(name);
    }
    if (error)
        throw Error(error == std::errc::no_such_file_or_directory ? MC_ERROR_NOT_FOUND : MC_ERROR_READ,
                    folder + ": cannot be listed (" + error.message() +
                        "); check the path and its permissions.");
    std::sort(listing.names.begin(), listing.names.end());
    std::sort(listing.side.begin(), listing.side.end());
    return listing;
}

std::string side_file_of(const std::string& path) {
    size_t slash = path.rfind('/');
    std::string folder = slash == std::string::npos ? "." : path.substr(0, slash),
                name = path.substr(slash == std::string::npos ? 0 : slash + 1);
    try {
        // An unfinished download tells more than what macOS left.
        std::string found;
        for (const std::string& side : list_folder(folder).side) {
            if (side.starts_with(name)) return side;
            if (side == "._" + name) found = side;
        }
        return found;
    } catch (const Error&) {
        return {};
    }
}

} // namespace mc::model
