// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// Modules that the engine loads when it needs them.
#include <string>

namespace mc {

// Of `file` ("libmotioncache-cuda.so"): beside the library that the engine is part of; for a program that the engine
// is part of, in the build tree's engine/ or where the engine is installed. Where there is none: the path beside it.
std::string module_path(const std::string& file);

} // namespace mc
