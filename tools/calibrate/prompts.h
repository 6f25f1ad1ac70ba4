// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// What is generated to calibrate on.
#include <string>
#include <vector>

namespace mc::calibrate {

// Sentences of the demo model's world that mean something to any model, moving subjects and still ones; none
// of them is among the prompts that benchmarks report on.
std::vector<std::string> built_in_prompts();
// One per line; empty lines and those that begin with # are passed over. Throws MC_ERROR_NOT_FOUND, or
// MC_ERROR_SETTINGS where none is left.
std::vector<std::string> read_prompts(const std::string& file);

} // namespace mc::calibrate
