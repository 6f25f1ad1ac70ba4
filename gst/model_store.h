// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// The models in memory of this process: elements that ask for the same one share it. It is freed when nobody holds it,
// unless it was kept for the process.
#include <functional>
#include <memory>
#include <string>

#include "engine/request/fields.h"
#include "gst/engine_library.h"

namespace mc::gst {

enum class KeepModel { NEVER, READY, PROCESS };

struct ModelKey {
    const EngineLibrary* engine = nullptr;
    ModelFields model;
    std::string files; // files_of(model.path) when it was opened
    bool operator==(const ModelKey&) const = default;
};
// Names, sizes and times of the files of a model, as one text, which differs when a file has changed.
std::string files_of(const std::string& path);

class ModelStore {
  public:
    static ModelStore& of_process();

    struct Found {
        std::shared_ptr<McModel> model;
        bool opened; // by this call
    };
    // The model in memory, else what `open` gives. While another thread opens the same model, waits for it, unless
    // give_up(), which is asked now and then, is true: throws MC_CANCELLED. What `open` throws is passed on, and a
    // thread that was waiting then opens the model itself. Kept models that no element holds are freed first.
    Found get(const ModelKey& key, const std::function<McModel*()>& open,
              const std::function<bool()>& give_up);
    // Keeps it until another model is opened while no element holds it, or the process ends.
    void keep(const std::shared_ptr<McModel>& model);

  private:
    struct Shared;
    std::shared_ptr<Shared> shared_;
    ModelStore();
};

} // namespace mc::gst
