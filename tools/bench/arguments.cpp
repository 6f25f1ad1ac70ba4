// SPDX-License-Identifier: LGPL-2.1-or-later
#include "tools/bench/request_text.h"

#include "engine/request/field.h"

namespace mc::bench {

void set(session::Request& request, const std::string& key, const std::string& value) {
    const std::string name = key == "frames" ? "num-frames" : key;
    set_from_text(request, find_field(name) ? name : "cache-" + name, value);
}

} // namespace mc::bench
