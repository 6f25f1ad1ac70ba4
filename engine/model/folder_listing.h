// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// What lies in a folder of a model, without what other programs leave there.
#include <string>
#include <vector>

namespace mc::model {

struct FolderListing {
    std::vector<std::string> names; // of files and folders, sorted
    std::vector<std::string> side;  // hidden ones, unfinished downloads, thumbnails; sorted
};
bool is_file(const std::string& path); // a regular one; not there: no
// Throws MC_ERROR_READ when `folder` cannot be listed, MC_ERROR_NOT_FOUND when it is not there.
FolderListing list_folder(const std::string& folder);

// Hidden files, such as the "._NAME" that macOS puts beside NAME on a foreign file system, and those of downloads
// that have not ended: not part of a model, whatever their extension.
bool is_side_file(const std::string& name);
std::string what_side_file_is(const std::string& name); // "an unfinished download"
// The name of a side file of `path` beside it, which tells why there is no `path`; empty when there is none.
std::string side_file_of(const std::string& path);

} // namespace mc::model
