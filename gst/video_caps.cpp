#include "gst/video_caps.h"

#include <algorithm>

namespace mc::gst {
namespace {

constexpr int LARGEST = 4096; // as in the template

void set_in_all(GstCaps* caps, const char* field, const GValue* value) {
    gst_caps_set_value(caps, field, value);
}

void set_range(GstCaps* caps, const char* field, int step, int largest) {
    GValue range = G_VALUE_INIT;
    g_value_init(&range, GST_TYPE_INT_RANGE);
    gst_value_set_int_range_step(&range, step, largest / step * step, step);
    set_in_all(caps, field, &range);
    g_value_unset(&range);
}

} // namespace

ModelSizes sizes_of(const model::FolderOutline& folder) {
    const auto& d = folder.defaults;
    const auto& t = folder.transformer;
    ModelSizes s{};
    s.step_height = int(folder.vae.spatial_factor * t.patch[1]);
    s.step_width = int(folder.vae.spatial_factor * t.patch[2]);
    s.largest_height = int(std::min<int64_t>(LARGEST, t.rope_length * s.step_height));
    s.largest_width = int(std::min<int64_t>(LARGEST, t.rope_length * s.step_width));
    s.preferred = {d.width, d.height, d.frame_rate_n, d.frame_rate_d};
    s.num_frames = d.num_frames;
    return s;
}

GstCaps* narrow_caps(const GstCaps* caps, const ModelSizes& sizes) {
    GstCaps* narrow = gst_caps_copy(caps);
    set_range(narrow, "width", sizes.step_width, sizes.largest_width);
    set_range(narrow, "height", sizes.step_height, sizes.largest_height);
    return narrow;
}

GstCaps* narrow_caps(const GstCaps* caps, const Picture& p) {
    GstCaps* narrow = gst_caps_copy(caps);
    gst_caps_set_simple(narrow, "width", G_TYPE_INT, p.width, "height", G_TYPE_INT, p.height, "framerate",
                        GST_TYPE_FRACTION, p.frame_rate_n, p.frame_rate_d, nullptr);
    return narrow;
}

GstCaps* fixate_caps(GstCaps* caps, const Picture& preferred) {
    caps = gst_caps_make_writable(gst_caps_truncate(caps));
    GstStructure* s = gst_caps_get_structure(caps, 0);
    gst_structure_fixate_field_nearest_int(s, "width", preferred.width);
    gst_structure_fixate_field_nearest_int(s, "height", preferred.height);
    gst_structure_fixate_field_nearest_fraction(s, "framerate", preferred.frame_rate_n,
                                                preferred.frame_rate_d);
    return caps;
}

McPixelFormat pixel_format_of(const GstVideoInfo& info) {
    switch (GST_VIDEO_INFO_FORMAT(&info)) {
    case GST_VIDEO_FORMAT_NV12:
        return MC_NV12;
    case GST_VIDEO_FORMAT_RGB:
        return MC_RGB;
    default:
        return MC_I420;
    }
}

} // namespace mc::gst
