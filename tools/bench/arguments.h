// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// What the measuring programs take: a model, --NAME VALUE of their own, and settings of a request by the names of the
// element's properties.
#include <functional>
#include <map>
#include <string>

#include "engine/session/session.h"

namespace mc::bench {

struct Arguments {
    std::string model;            // folder; empty: none was named
    session::LoadOptions options; // --dtype float32|bfloat16 and --threads N; on the CPU
    session::Request request;
};

using Options = std::map<std::string, std::function<void(const std::string& value)>>;

// Into `to`. `own`: the program's options, "--rounds", beside those above. All others are settings of the request;
// where `settings` is false there are none. Throws MC_ERROR_SETTINGS for what is unknown or lacks its value.
void read_arguments(int argc, char** argv, Arguments& to, const Options& own, bool settings = true);

// What compares settings takes several: --run NAME:KEY=VALUE,KEY=VALUE, keys as `set` below takes them.
struct NamedSettings {
    std::string name;
    std::map<std::string, std::string> keys;
    void set_in(session::Request& request) const;
};
NamedSettings parse_run(const std::string& text); // throws MC_ERROR_SETTINGS for what is not of that form

int whole_number(const std::string& text); // throws MC_ERROR_SETTINGS for anything else

// key: a property of the element, "cache-" may be left out, and "num-" of the frames. Throws MC_ERROR_SETTINGS for an
// unknown one or a value that is not of its kind.
void set(session::Request& request, const std::string& key, const std::string& value);

} // namespace mc::bench
