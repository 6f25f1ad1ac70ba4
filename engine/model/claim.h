// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// A family's answer to whether what lies at a path is a model of its own.
#include <string>

namespace mc::model {

struct Claim {
    std::string place; // folder or file that the family opens
    std::string file;  // that says so
    bool by_file;      // naming that file as the model's path leaves no doubt
};

} // namespace mc::model
