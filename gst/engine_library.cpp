// SPDX-License-Identifier: LGPL-2.1-or-later
#include "gst/engine_library.h"

#include <dlfcn.h>

#include <cstdlib>
#include <filesystem>
#include <map>
#include <mutex>
#include <sstream>

#include "engine/error.h"

namespace mc::gst {
namespace {

const char* file_of(Engine engine) {
    return engine == Engine::LIBTORCH ? "libmotioncache.so" : "libmotioncache-testpattern.so";
}

std::filesystem::path folder_of_this_plugin() {
    Dl_info info{};
    if (!dladdr(reinterpret_cast<void*>(&file_of), &info) || !info.dli_fname) return {};
    std::error_code ignored;
    return std::filesystem::absolute(info.dli_fname, ignored).parent_path();
}

template <class F>
void resolve(void* library, const std::string& path, const char* name, F& function) {
    function = reinterpret_cast<F>(dlsym(library, name));
    if (!function)
        throw Error(MC_ERROR_DEVICE, "The engine library " + path + " lacks the function " + name +
                                         ": build and install plugin and engine together.");
}

EngineLibrary open_library(const std::string& path) {
    // RTLD_LOCAL: two engines export the same symbols, and LibTorch's must not leak into the process.
    void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    if (!library) {
        const char* reason = dlerror();
        throw Error(
            MC_ERROR_DEVICE,
            "The engine library " + path +
                " cannot be opened: install what it needs (LibTorch, see the README), or name the folder of the missing "
                "library in LD_LIBRARY_PATH.",
            reason ? reason : "");
    }
    EngineLibrary e{};
    resolve(library, path, "mc_abi_version", e.abi_version);
    if (e.abi_version() != MC_ABI_VERSION)
        throw Error(MC_ERROR_DEVICE, "The engine library " + path + " has ABI version " +
                                         std::to_string(e.abi_version()) + " and the plugin expects " +
                                         std::to_string(MC_ABI_VERSION) +
                                         ": build and install both together.");
    resolve(library, path, "mc_cancel_new", e.cancel_new);
    resolve(library, path, "mc_cancel_set", e.cancel_set);
    resolve(library, path, "mc_cancel_free", e.cancel_free);
    resolve(library, path, "mc_model_open", e.model_open);
    resolve(library, path, "mc_model_free", e.model_free);
    resolve(library, path, "mc_request_check", e.request_check);
    resolve(library, path, "mc_plan", e.plan);
    resolve(library, path, "mc_session_new", e.session_new);
    resolve(library, path, "mc_session_free", e.session_free);
    resolve(library, path, "mc_session_next", e.session_next);
    resolve(library, path, "mc_session_update", e.session_update);
    resolve(library, path, "mc_session_clear_updates", e.session_clear_updates);
    resolve(library, path, "mc_session_stats", e.session_stats);
    resolve(library, path, "mc_session_chunk_stats", e.session_chunk_stats);
    resolve(library, path, "mc_session_on_step", e.session_on_step);
    resolve(library, path, "mc_session_on_reading", e.session_on_reading);
    resolve(library, path, "mc_frames_count", e.frames_count);
    resolve(library, path, "mc_frames_first", e.frames_first);
    resolve(library, path, "mc_frames_prepare", e.frames_prepare);
    resolve(library, path, "mc_frames_write", e.frames_write);
    resolve(library, path, "mc_frames_device", e.frames_device);
    resolve(library, path, "mc_frames_write_device", e.frames_write_device);
    resolve(library, path, "mc_frames_made_with", e.frames_made_with);
    resolve(library, path, "mc_frames_work", e.frames_work);
    resolve(library, path, "mc_frames_map", e.frames_map);
    resolve(library, path, "mc_frames_free", e.frames_free);
    return e;
}

std::string find_library(const char* file) {
    if (auto path = find_in_engine_folders(file)) return *path;
    std::string looked_in;
    for (const std::string& folder : engine_folders()) looked_in += (looked_in.empty() ? "" : ", ") + folder;
    throw Error(MC_ERROR_DEVICE,
                std::string("The engine library ") + file +
                    " was not found: install it, or name its folder in MOTIONCACHE_ENGINE_DIR.",
                "looked in: " + looked_in);
}

} // namespace

Engine wanted_engine() {
    const char* name = std::getenv("MOTIONCACHE_ENGINE");
    const std::string engine = name && *name ? name : "libtorch";
    if (engine == "libtorch") return Engine::LIBTORCH;
    if (engine == "testpattern") return Engine::TESTPATTERN;
    throw Error(MC_ERROR_SETTINGS,
                "The environment variable MOTIONCACHE_ENGINE is \"" + engine +
                    "\", which is unknown: unset it, or set it to libtorch or testpattern.");
}

std::vector<std::string> engine_folders() {
    std::vector<std::string> folders;
    if (const char* dirs = std::getenv("MOTIONCACHE_ENGINE_DIR"); dirs && *dirs) {
        std::istringstream list(dirs);
        for (std::string dir; std::getline(list, dir, ':');)
            if (!dir.empty()) folders.push_back(dir);
        return folders;
    }
    const auto plugin = folder_of_this_plugin();
    // Installed: beside gstreamer-1.0. Build tree: gst/ and engine/ are neighbours.
    for (const char* folder : {"../motioncache", "../engine", "../engine/testpattern", "cuda_frames"})
        folders.push_back((plugin / folder).lexically_normal().string());
    folders.push_back(ENGINE_DIR); // for a plugin file that was copied elsewhere
    return folders;
}

std::optional<std::string> find_in_engine_folders(const std::string& file) {
    for (const std::string& folder : engine_folders()) {
        const std::filesystem::path path = std::filesystem::path(folder) / file;
        std::error_code ignored;
        if (std::filesystem::exists(path, ignored)) return path.string();
    }
    return {};
}

const EngineLibrary& load_engine(Engine engine) {
    static std::mutex mutex;
    static std::map<std::string, EngineLibrary> opened;
    const std::string path = find_library(file_of(engine));
    std::lock_guard lock(mutex);
    auto found = opened.find(path);
    if (found == opened.end()) found = opened.emplace(path, open_library(path)).first;
    return found->second;
}

} // namespace mc::gst
