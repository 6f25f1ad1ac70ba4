#pragma once
// What can be said against a request before the weights are read, which takes minutes for a large model.
#include <string>

#include "engine/session/loaded_model.h"
#include "engine/session/session.h"

namespace mc::session {

// In this order: a device that is named and cannot be used; settings that contradict each other or the JSON files of the
// folder, before any weight file is opened; the same and the memory that weights and windows take at least, with the
// headers of the weight files. No weight is read. Throws what LoadedModel::open or Session would throw, and accepts
// nothing for good: both look again.
void check_early(const std::string& path, const LoadOptions& options, const Request& request);

} // namespace mc::session
