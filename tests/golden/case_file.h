// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// A case of a golden folder, opened without Torch: FOLDER/cases/NAME with case.json, inputs.safetensors and
// expected.safetensors (either may be absent).
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "engine/model/tensor_view.h"

namespace mc::golden {

using Json = nlohmann::ordered_json; // the order of tolerance patterns counts

// The tensors of a safetensors file; keeps it open. Empty when there is no such file.
struct TensorFile {
    model::TensorMap tensors;
    bool has(const std::string& name) const { return tensors.count(name) != 0; }
    static TensorFile open(const std::string& path);
};

struct CaseFile {
    std::string name;
    std::string folder; // the golden folder, to which the paths of weights are relative
    Json json;
    TensorFile inputs, expected;
    const Json& settings() const { return json.at("settings"); }
    static CaseFile open(const std::string& folder, const std::string& name);
};

} // namespace mc::golden
