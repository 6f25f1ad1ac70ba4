// SPDX-License-Identifier: LGPL-2.1-or-later
// The list of families with their networks; that of their folders, without Torch, is in engine/model/model_folder.cpp.
#include "engine/families/skyreels_v2/early_check.h"
#include "engine/families/skyreels_v2/model.h"

namespace mc::session {

std::shared_ptr<const Family> open_family(const std::string& path, const LoadOptions& options) {
    return skyreels_v2::Model::open(path, options);
}

void check_early(const std::string& path, const LoadOptions& options, const Request& request) {
    skyreels_v2::check_early(path, options, request);
}

MemoryForecast forecast_memory(const std::string& path, const LoadOptions& options, const Request& request) {
    return skyreels_v2::forecast_memory(path, options, request);
}

} // namespace mc::session
