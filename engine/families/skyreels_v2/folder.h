// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// A published SkyReels-V2 folder: where its parts lie, and whether they fit together.
#include <memory>
#include <string>
#include <vector>

#include "engine/model/model_folder.h"

namespace mc::model::skyreels_v2 {

std::unique_ptr<ModelFolder> open_folder(const std::string& path, Layout layout);
// More than one where the weights alone tell which of the series a model is.
std::vector<FolderOutline> outlines(const std::string& path, Layout layout);

} // namespace mc::model::skyreels_v2
