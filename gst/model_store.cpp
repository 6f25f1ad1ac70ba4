// SPDX-License-Identifier: LGPL-2.1-or-later
#include "gst/model_store.h"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <filesystem>
#include <list>
#include <mutex>
#include <utility>
#include <vector>

#include "engine/error.h"

namespace mc::gst {
namespace {

constexpr int DEEPEST = 4;           // folders below that of the model: published layouts have one
constexpr size_t MOST_FILES = 10000; // somebody's home folder by mistake
constexpr std::chrono::milliseconds ASKED{20};

} // namespace

std::string files_of(const std::string& path) {
    namespace fs = std::filesystem;
    std::error_code error; // what cannot be read is reported when the model is opened
    std::vector<std::string> files;
    const auto add = [&](const fs::path& file) {
        const auto size = fs::file_size(file, error);
        if (error) return;
        const auto time = fs::last_write_time(file, error).time_since_epoch().count();
        files.push_back(file.string() + " " + std::to_string(size) + " " + std::to_string(time) + "\n");
    };
    const fs::path folder = fs::canonical(path, error);
    if (fs::is_regular_file(folder, error)) add(folder);
    fs::recursive_directory_iterator it(folder, fs::directory_options::follow_directory_symlink, error), end;
    while (!error && it != end && files.size() < MOST_FILES) {
        if (it.depth() >= DEEPEST) it.disable_recursion_pending();
        std::error_code ignored;
        if (it->is_regular_file(ignored)) add(it->path());
        it.increment(error);
    }
    std::sort(files.begin(), files.end());
    std::string text;
    for (const std::string& file : files) text += file;
    return text;
}

struct ModelStore::Shared {
    struct Entry {
        ModelKey key;
        std::weak_ptr<McModel> model;
        std::shared_ptr<McModel> kept;
        bool opening = false;
    };
    std::mutex mutex;
    std::condition_variable changed;
    std::list<Entry> entries;

    // Those that nobody holds; freed by the caller, without the lock.
    std::vector<std::shared_ptr<McModel>> take_unused() {
        std::vector<std::shared_ptr<McModel>> unused;
        for (Entry& e : entries)
            if (e.kept && e.kept.use_count() == 1) unused.push_back(std::exchange(e.kept, nullptr));
        return unused;
    }
    void tidy() {
        entries.remove_if([](const Entry& e) { return !e.opening && !e.kept && e.model.expired(); });
    }
};

ModelStore::ModelStore() : shared_(std::make_shared<Shared>()) {}

// Never destroyed: what is kept stays to the end, and an element may outlive what main() leaves.
ModelStore& ModelStore::of_process() {
    static auto* store = new ModelStore;
    return *store;
}

ModelStore::Found ModelStore::get(const ModelKey& key, const std::function<McModel*()>& open,
                                  const std::function<bool()>& give_up) {
    Shared& s = *shared_;
    std::unique_lock lock(s.mutex);
    std::list<Shared::Entry>::iterator entry;
    for (;;) {
        s.tidy();
        entry = std::find_if(s.entries.begin(), s.entries.end(), [&](const auto& e) { return e.key == key; });
        if (entry == s.entries.end()) break;
        if (auto model = entry->model.lock()) return {std::move(model), false};
        if (!entry->opening) break;
        lock.unlock();
        const bool gives_up = give_up();
        lock.lock();
        if (gives_up) throw Error(MC_CANCELLED, "Loading was cancelled.");
        s.changed.wait_for(lock, ASKED);
    }
    if (entry == s.entries.end()) {
        s.entries.emplace_back();
        entry = std::prev(s.entries.end());
        entry->key = key;
    }
    entry->opening = true;
    auto unused = s.take_unused();
    lock.unlock();
    unused.clear();

    std::shared_ptr<McModel> model;
    const auto done = [&] {
        lock.lock();
        entry->opening = false;
        entry->model = model;
        s.changed.notify_all();
    };
    try {
        model =
            std::shared_ptr<McModel>(open(), [engine = key.engine](McModel* m) { engine->model_free(m); });
    } catch (...) {
        done();
        throw;
    }
    done();
    return {std::move(model), true};
}

void ModelStore::keep(const std::shared_ptr<McModel>& model) {
    const std::lock_guard lock(shared_->mutex);
    for (Shared::Entry& e : shared_->entries)
        if (e.model.lock() == model) e.kept = model;
}

} // namespace mc::gst
