// SPDX-License-Identifier: LGPL-2.1-or-later
#include "gst/frame_meta.h"

#include <gst/video/video.h>

#include "gst/stats.h"

namespace mc::gst {

void register_frame_meta() {
    static const gsize once = [] {
        // Of a video's frame and of nothing else: not of its size, its colours, its memory, so that converters keep it.
        static const gchar* tags[] = {GST_META_TAG_VIDEO_STR, nullptr};
        gst_meta_register_custom(GST_MOTION_CACHE_META, tags, nullptr, nullptr, nullptr);
        return gsize(1);
    }();
    (void)once;
}

static void put(GstStructure* s, const char* field, const void* data, size_t size) {
    GValue value = G_VALUE_INIT;
    g_value_init(&value, G_TYPE_BYTES);
    g_value_take_boxed(&value, g_bytes_new(data, size));
    gst_structure_take_value(s, field, &value);
}

void add_frame_meta(GstBuffer* buffer, gint64 frame, const Generator::Work& work) {
    GstCustomMeta* meta = gst_buffer_add_custom_meta(buffer, GST_MOTION_CACHE_META);
    GstStructure* s = gst_custom_meta_get_structure(meta);
    gst_structure_set(s, "chunk", G_TYPE_INT64, gint64(work.facts.chunk), "frame", G_TYPE_INT64, frame, "map-width",
                      G_TYPE_INT, work.facts.map_width, "map-height", G_TYPE_INT, work.facts.map_height, nullptr);
    put_work(s, work.facts.work);
    put(s, "computed", work.computed.data(), work.computed.size());
    if (!work.motion.empty()) put(s, "motion", work.motion.data(), work.motion.size() * sizeof(float));
}

} // namespace mc::gst
