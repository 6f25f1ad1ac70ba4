// SPDX-License-Identifier: LGPL-2.1-or-later
#include "tools/bench/arguments.h"

#include <charconv>
#include <sstream>

#include "engine/error.h"
#include "engine/request/field.h"

namespace mc::bench {

int whole_number(const std::string& text) {
    int value = 0;
    const auto [end, fault] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (fault != std::errc() || end != text.data() + text.size())
        throw Error(MC_ERROR_SETTINGS, "\"" + text + "\" is not a whole number.");
    return value;
}

static Precision precision_of(const std::string& text) {
    if (text != "float32" && text != "bfloat16")
        throw Error(MC_ERROR_SETTINGS, "--dtype is \"" + text + "\" but must be float32 or bfloat16.");
    return text == "float32" ? Precision::FLOAT32 : Precision::BFLOAT16;
}

void read_arguments(int argc, char** argv, Arguments& to, const Options& own, bool settings) {
    to.options.device = "cpu";
    for (int i = 1; i < argc; i++) {
        const std::string name = argv[i];
        if (!name.starts_with("--")) {
            to.model = name;
            continue;
        }
        if (++i == argc) throw Error(MC_ERROR_SETTINGS, name + " lacks its value.");
        const std::string value = argv[i];
        if (const auto option = own.find(name); option != own.end())
            option->second(value);
        else if (name == "--dtype")
            to.options.precision = precision_of(value);
        else if (name == "--threads")
            to.options.threads = whole_number(value);
        else if (settings)
            set(to.request, name.substr(2), value);
        else
            throw Error(MC_ERROR_SETTINGS, "Unknown argument " + name + ".");
    }
}

NamedSettings parse_run(const std::string& text) {
    const size_t colon = text.find(':');
    if (colon == std::string::npos) throw Error(MC_ERROR_SETTINGS, "--run needs NAME:KEY=VALUE,...");
    NamedSettings run{text.substr(0, colon), {}};
    std::istringstream list(text.substr(colon + 1));
    for (std::string item; std::getline(list, item, ',');) {
        const size_t equals = item.find('=');
        if (equals == std::string::npos)
            throw Error(MC_ERROR_SETTINGS, "--run: \"" + item + "\" is not KEY=VALUE.");
        run.keys[item.substr(0, equals)] = item.substr(equals + 1);
    }
    return run;
}

void NamedSettings::set_in(session::Request& request) const {
    for (const auto& [key, value] : keys) set(request, key, value);
}

void set(session::Request& request, const std::string& key, const std::string& value) {
    const std::string name = key == "frames" ? "num-frames" : key;
    set_from_text(request, find_field(name) ? name : "cache-" + name, value);
}

} // namespace mc::bench
