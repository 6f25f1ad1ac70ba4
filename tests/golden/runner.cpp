// SPDX-License-Identifier: LGPL-2.1-or-later
#include "tests/golden/runner.h"

#include <algorithm>
#include <set>

#include "engine/error.h"

namespace mc::golden {

std::string Run::weights(const std::string& part) const {
    const Json& entry = file.json.at("weights").at(part);
    return file.folder + "/" + (entry.is_string() ? entry : entry.at(layout)).get<std::string>();
}

at::Tensor Run::input(const std::string& name) const {
    const auto found = file.inputs.tensors.find(name);
    if (found == file.inputs.tensors.end())
        throw Error(MC_ERROR_READ,
                    "inputs.safetensors has no tensor \"" + name + "\"; the case is incomplete.");
    return to_tensor(found->second).to(device);
}

std::vector<Runner>& runners() {
    static std::vector<Runner> list;
    return list;
}

std::map<std::string, KindRunner>& kinds() {
    static std::map<std::string, KindRunner> map;
    return map;
}

Runner runner_of(const CaseFile& file) {
    if (const std::string kind = file.kind(); !kind.empty()) {
        const auto found = kinds().find(kind);
        if (found == kinds().end()) throw NotImplemented{"kind " + kind};
        return {found->first.c_str(), false, nullptr, found->second};
    }
    for (const Runner& runner : runners())
        if (runner.takes(file)) return runner;
    throw NotImplemented{"no runner takes this case"};
}

std::vector<std::string> layouts_of(const CaseFile& file) {
    std::set<std::string, std::greater<>> layouts; // original before diffusers
    if (file.json.contains("weights") && file.json["weights"].is_object())
        for (const auto& [part, paths] : file.json["weights"].items())
            if (paths.is_object())
                for (const auto& [layout, path] : paths.items()) layouts.insert(layout);
    if (layouts.empty()) return {"-"};
    return {layouts.begin(), layouts.end()};
}

} // namespace mc::golden
