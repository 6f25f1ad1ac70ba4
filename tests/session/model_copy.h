// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// The demo model in a folder of its own, by links, without any calibration that it may have: tests put theirs
// there.
#include <filesystem>
#include <fstream>
#include <string>
#include <unistd.h>

namespace mc::test {

class ModelCopy {
  public:
    explicit ModelCopy(const std::string& model) {
        namespace fs = std::filesystem;
        std::string name = fs::temp_directory_path() / "motioncache-model-XXXXXX";
        if (!::mkdtemp(name.data())) throw std::runtime_error("no temporary folder " + name);
        path = name;
        for (const auto& entry : fs::directory_iterator(model))
            if (entry.path().filename() != "motioncache.json")
                fs::create_symlink(entry.path(), path / entry.path().filename());
    }
    ~ModelCopy() { std::filesystem::remove_all(path); }
    ModelCopy(const ModelCopy&) = delete;
    void write_calibration(const std::string& text) const {
        std::ofstream(path / "motioncache.json", std::ios::binary) << text;
    }
    std::filesystem::path path;
};

} // namespace mc::test
