// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// The engine as a table of functions, opened at run time: so the plugin registers even where LibTorch is missing, and
// reports that on the bus when it is used.
//
// MOTIONCACHE_ENGINE      "libtorch" (default) or "testpattern"
// MOTIONCACHE_ENGINE_DIR  folders to search, separated by ':'. Default: where the build and `meson install` put the
//                         library, relative to the plugin file
#include <optional>
#include <string>
#include <vector>

#include "engine/motioncache.h"

namespace mc::gst {

struct EngineLibrary {
    decltype(&mc_abi_version) abi_version;
    decltype(&mc_cancel_new) cancel_new;
    decltype(&mc_cancel_set) cancel_set;
    decltype(&mc_cancel_free) cancel_free;
    decltype(&mc_model_open) model_open;
    decltype(&mc_model_free) model_free;
    decltype(&mc_request_check) request_check;
    decltype(&mc_plan) plan;
    decltype(&mc_session_new) session_new;
    decltype(&mc_session_free) session_free;
    decltype(&mc_session_next) session_next;
    decltype(&mc_session_update) session_update;
    decltype(&mc_session_clear_updates) session_clear_updates;
    decltype(&mc_session_stats) session_stats;
    decltype(&mc_session_chunk_stats) session_chunk_stats;
    decltype(&mc_session_on_step) session_on_step;
    decltype(&mc_session_on_reading) session_on_reading;
    decltype(&mc_frames_count) frames_count;
    decltype(&mc_frames_first) frames_first;
    decltype(&mc_frames_prepare) frames_prepare;
    decltype(&mc_frames_write) frames_write;
    decltype(&mc_frames_device) frames_device;
    decltype(&mc_frames_write_device) frames_write_device;
    decltype(&mc_frames_made_with) frames_made_with;
    decltype(&mc_frames_work) frames_work;
    decltype(&mc_frames_map) frames_map;
    decltype(&mc_frames_free) frames_free;
};

enum class Engine { LIBTORCH, TESTPATTERN };
Engine wanted_engine();                    // throws mc::Error: MC_ERROR_SETTINGS
std::vector<std::string> engine_folders(); // in search order
// The path of the first file of that name in them.
std::optional<std::string> find_in_engine_folders(const std::string& file);

// Blocks while the libraries are read from disk. They stay open until the process ends, since LibTorch keeps threads
// running. Throws mc::Error: MC_ERROR_DEVICE, with the dynamic linker's message as detail.
const EngineLibrary& load_engine(Engine engine);

} // namespace mc::gst
