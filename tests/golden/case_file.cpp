// SPDX-License-Identifier: LGPL-2.1-or-later
#include "tests/golden/case_file.h"

#include <filesystem>
#include <fstream>

#include "engine/error.h"
#include "engine/model/safetensors.h"

namespace mc::golden {

TensorFile TensorFile::open(const std::string& path) {
    if (!std::filesystem::exists(path)) return {};
    TensorFile file;
    file.tensors = model::parse_safetensors(model::DataFile::open(path));
    return file;
}

CaseFile CaseFile::open(const std::string& folder, const std::string& name) {
    const std::string path = folder + "/cases/" + name + "/";
    std::ifstream stream(path + "case.json");
    if (!stream) throw Error(MC_ERROR_NOT_FOUND, "There is no " + path + "case.json; give a golden folder.");
    return {name, folder, Json::parse(stream), TensorFile::open(path + "inputs.safetensors"),
            TensorFile::open(path + "expected.safetensors")};
}

} // namespace mc::golden
