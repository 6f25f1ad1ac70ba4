// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// Which family's model lies at a path, found out without Torch: the list of families with their layouts of files. How
// each is laid out stands in engine/families/*/folder.h.
//
// Every failure is an mc::Error with the file's path, what is wrong with it and the remedy:
// MC_ERROR_NOT_FOUND for what is not there, MC_ERROR_READ for what is not as it should be.
#include <string>

#include "engine/model/pictures.h"

namespace mc::model {

struct FoundModel {
    std::string family; // as the table of fields calls it (engine/request/fields.toml): "skyreels-v2"
    std::string place;  // folder or file that the family opens
};
// By content, of JSON files alone. A path at which two families find a model of theirs is refused.
FoundModel find_model(const std::string& path);

// What its videos are. Reads JSON files, and headers of weight files where those alone tell.
PictureSizes pictures_of(const std::string& path);

} // namespace mc::model
