// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// The element's properties, generated from the table of fields (engine/request/fields.toml), which documents them.
// Values are stored as mc::Fields and copied when the element starts.
#include <gst/gst.h>

#include <optional>
#include <string>

#include "engine/request/fields.h"

namespace mc::gst {

// model-path when it is not set: MOTIONCACHE_MODEL, else the demo model where `meson install` puts it.
std::string default_model_path();

// Read-only, answered by the element; the ids of the table's properties follow, then those of the plugin's own table
// (gst/stream_settings.h).
constexpr guint PROPERTY_SEED_USED = 1, PROPERTY_STATS = 2;
void install_settings(GObjectClass* klass);
void set_setting(Fields& values, guint id, const GValue* value);
void get_setting(const Fields& values, guint id, GValue* value);
// A change while a video is made: the fields that are set in it count from the next chunk that starts. With `frames` it
// is queued instead: it begins after those queued before, and the one queued next comes `frames` later.
struct Update {
    Fields changed;
    std::optional<int> frames = {};
    // What is not set of the cache's fields gets its default, else it stays as it is.
    bool all_of_cache = false;
};
// After the property of that id was changed; empty where what it is now cannot come while a video is made. One of the
// cache brings all of them, since they make sense together, but a threshold, which the clock may also set.
std::optional<Update> change_of(const Fields& values, guint id);
// What is set, "name=value" with blanks between, without prompt and names of files: for making the same video again.
std::string text_of(const Fields& values);

} // namespace mc::gst
