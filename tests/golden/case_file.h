// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// A case of a golden folder, opened without Torch: FOLDER/cases/NAME with case.json, inputs.safetensors and
// expected.safetensors (either may be absent).
//
// There are two formats. In the first a case is known by what it holds, and names its weights in every layout. In the
// second it names its "kind", and FOLDER is a group of a larger golden folder with an INDEX.json: FOLDER/weights is of
// all its cases, and tables lie beside a case as further JSON files ("extra_files").
#include <map>
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
    std::string folder; // the golden folder, or the group in it, to which the paths of weights are relative
    Json json;
    std::map<std::string, Json> tables; // of extra_files, by name
    TensorFile inputs, expected;
    const Json& settings() const { return json.at("settings"); }
    static CaseFile open(const std::string& folder, const std::string& name);
    // A JSON file that is a case by itself, of tables alone: its content is `json`, with `kind`.
    static CaseFile open_table(const std::string& folder, const std::string& path, const std::string& kind);
    // What a runner is found by: the "kind", for the kind "unit" the case's own name; empty in the first format.
    std::string kind() const;
};

} // namespace mc::golden
