// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// Properties that are about the stream and not about the video, so that no engine knows them: the plugin's own table.
// Their ids follow those of the table of fields (gst/settings.h).
#include <gst/gst.h>

#include <string>

#include "gst/model_store.h"

namespace mc::gst {

enum class Underrun { WAIT, REPEAT, SLOW };

struct StreamSettings {
    gboolean live = FALSE;
    int queue_chunks = 2;
    int underrun = int(Underrun::WAIT);
    int latency = -1; // milliseconds; -1: measured
    gboolean qos_cache = FALSE;
    double qos_cache_max = 0; // 0: MOST_OF_OWN (generator_changes.cpp) times cache-threshold
    int keep_model = int(KeepModel::READY);
    gboolean embed_metadata = TRUE;
    std::string prompts_file; // empty: none
};

void install_stream_settings(GObjectClass* klass, guint first_id);
// False: the id is none of these.
bool set_stream_setting(StreamSettings& settings, guint id, const GValue* value);
bool get_stream_setting(const StreamSettings& settings, guint id, GValue* value);
bool is_qos_cache_max(guint id);

} // namespace mc::gst
