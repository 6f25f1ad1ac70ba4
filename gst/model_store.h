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
// Names, sizes and times of what lies in the folder of a model: another text when a file has changed.
std::string files_of(const std::string& path);

class ModelStore {
  public:
    static ModelStore& of_process();

    struct Found {
        std::shared_ptr<McModel> model;
        bool opened; // by this call
    };
    // What is there already, else what `open` gives. While another thread opens the same one it is waited for, unless
    // give_up() says so, which is asked now and then: MC_CANCELLED. What `open` throws comes out, and who waits then
    // tries for itself. Before one is opened those go that were kept and nobody holds.
    Found get(const ModelKey& key, const std::function<McModel*()>& open,
              const std::function<bool()>& give_up);
    // Until another model is opened while nobody holds it, or the process ends.
    void keep(const std::shared_ptr<McModel>& model);

  private:
    struct Shared;
    std::shared_ptr<Shared> shared_;
    ModelStore();
};

} // namespace mc::gst
