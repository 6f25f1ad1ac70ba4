// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// The one exception of the engine. `message` is the sentence that a user reads: the cause and the remedy.
#include <stdexcept>
#include <string>

#include "engine/motioncache.h"

namespace mc {

class Error : public std::runtime_error {
  public:
    Error(McStatus status, const std::string& message, std::string detail = {})
        : std::runtime_error(message), status(status), detail(std::move(detail)) {}
    McStatus status;
    std::string detail; // for the log: a library's own words, exact numbers; may be empty
};

} // namespace mc
