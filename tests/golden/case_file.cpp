// SPDX-License-Identifier: LGPL-2.1-or-later
#include "tests/golden/case_file.h"

#include <filesystem>
#include <fstream>

#include "engine/error.h"
#include "engine/model/safetensors.h"

namespace mc::golden {

namespace {

Json read_json(const std::string& path) {
    std::ifstream stream(path);
    if (!stream) throw Error(MC_ERROR_NOT_FOUND, "There is no " + path + "; give a golden folder.");
    return Json::parse(stream);
}

} // namespace

TensorFile TensorFile::open(const std::string& path) {
    if (!std::filesystem::exists(path)) return {};
    TensorFile file;
    file.tensors = model::parse_safetensors(model::DataFile::open(path));
    return file;
}

CaseFile CaseFile::open(const std::string& folder, const std::string& name) {
    const std::string path = folder + "/cases/" + name + "/";
    CaseFile file{name,
                  folder,
                  read_json(path + "case.json"),
                  {},
                  TensorFile::open(path + "inputs.safetensors"),
                  TensorFile::open(path + "expected.safetensors")};
    if (file.json.contains("extra_files"))
        for (const std::string extra : file.json["extra_files"]) file.tables[extra] = read_json(path + extra);
    return file;
}

CaseFile CaseFile::open_table(const std::string& folder, const std::string& path, const std::string& kind) {
    CaseFile file{kind, folder, read_json(folder + "/" + path), {}, {}, {}};
    file.json["kind"] = kind;
    return file;
}

std::string CaseFile::kind() const {
    const std::string kind = json.value("kind", "");
    return kind == "unit" ? name : kind;
}

} // namespace mc::golden
