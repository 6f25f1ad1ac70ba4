// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// A request's settings by the names of the element's properties, for tools that take them as text.
#include <string>

#include "engine/session/session.h"

namespace mc::bench {

// key: a property of the element, "cache-" may be left out. Throws MC_ERROR_SETTINGS for an unknown one or a value that
// is not of its kind.
void set(session::Request& request, const std::string& key, const std::string& value);

} // namespace mc::bench
