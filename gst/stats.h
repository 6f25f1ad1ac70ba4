// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// What a session has computed and reused, as the structure of the property "stats".
#include <gst/gst.h>

#include <vector>

#include "gst/engine_library.h"

namespace mc::gst {

struct Stats {
    McStats total{};
    std::vector<McChunkStats> chunks; // delivered ones, the last MC_CHUNKS_KEPT
};
// Without the chunks, of which a stream has many.
McStats total_of(const EngineLibrary& engine, McSession* session);
Stats stats_of(const EngineLibrary& engine, McSession* session);

void put_work(GstStructure* s, const McWork& work); // turns, turns-whole, ..., tokens-reused
// Fields: see the documentation of the property in settings.cpp. (transfer full)
GstStructure* structure_of(const Stats& stats);

} // namespace mc::gst
