// SPDX-License-Identifier: LGPL-2.1-or-later
#include "gst/caps_clash.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <utility>
#include <vector>

#include "gst/gpu_frames.h"

namespace mc::gst {
namespace {

using Strings = std::vector<std::string>;

void add_new(Strings& list, const std::string& text) {
    if (std::find(list.begin(), list.end(), text) == list.end()) list.push_back(text);
}

// "a", "a and b", "a, b and c"
std::string join(const Strings& list, const char* last) {
    std::string text;
    for (size_t i = 0; i < list.size(); i++)
        text += (i == 0 ? "" : i + 1 < list.size() ? ", " : std::string(" ") + last + " ") + list[i];
    return text;
}

std::string text_of(const GValue* value) {
    constexpr guint MOST = 3; // of a list that may have a hundred formats
    if (GST_VALUE_HOLDS_LIST(value)) {
        Strings items;
        for (guint i = 0; i < std::min(MOST, gst_value_list_get_size(value)); i++)
            items.push_back(text_of(gst_value_list_get_value(value, i)));
        return "{ " + join(items, gst_value_list_get_size(value) > MOST ? "," : "or") +
               (gst_value_list_get_size(value) > MOST ? ", ... }" : " }");
    }
    if (G_VALUE_HOLDS_STRING(value)) return g_value_get_string(value);
    gchar* text = gst_value_serialize(value);
    std::string copy = text ? text : "?";
    g_free(text);
    return copy;
}

std::string text_of(const PictureFormat& p) {
    return std::to_string(p.width) + "x" + std::to_string(p.height) + " at " +
           std::to_string(p.frame_rate_n) + "/" + std::to_string(p.frame_rate_d);
}

std::string setting(const char* field, const GValue* value) {
    return std::string(field) + "=" + text_of(value);
}

bool is_size(const std::string& field) {
    return field == "width" || field == "height";
}

// Of one structure of theirs against one of ours.
struct Clash {
    const GstStructure *theirs = nullptr, *ours = nullptr;
    std::string media, features; // theirs, where they are not ours
    bool on_gpu = false;         // ours is memory of a GPU, and so is theirs
    Strings fields;
    int cost = 0; // highest for what the user is least likely to give up
};

constexpr int MEDIA_COST = 10000, FEATURE_COST = 1000, FORMAT_COST = 10, FIELD_COST = 1;

Clash clash_of(const GstCaps* theirs, guint t, const GstCaps* ours, guint o) {
    Clash c;
    c.theirs = gst_caps_get_structure(theirs, t), c.ours = gst_caps_get_structure(ours, o);
    if (std::strcmp(gst_structure_get_name(c.theirs), gst_structure_get_name(c.ours)) != 0) {
        c.media = gst_structure_get_name(c.theirs);
        c.cost = MEDIA_COST;
        return c;
    }
    const GstCapsFeatures* f = gst_caps_get_features(theirs, t);
    if (!gst_caps_features_is_any(f) && !gst_caps_features_is_equal(f, gst_caps_get_features(ours, o))) {
        gchar* text = gst_caps_features_to_string(f);
        c.features = text;
        g_free(text);
        c.cost = FEATURE_COST;
    }
    c.on_gpu = c.features.empty() && is_gpu_memory(f);
    for (int i = 0; i < gst_structure_n_fields(c.ours); i++) {
        const char* field = gst_structure_nth_field_name(c.ours, guint(i));
        const GValue* wanted = gst_structure_get_value(c.theirs, field);
        // Not gst_value_can_intersect: it (1.22) forgets the steps of a range.
        if (!wanted || gst_value_intersect(nullptr, wanted, gst_structure_get_value(c.ours, field))) continue;
        c.fields.push_back(field);
        c.cost += std::strcmp(field, "format") == 0 ? FORMAT_COST : FIELD_COST;
    }
    return c;
}

Clash least_clash(const GstCaps* theirs, const GstCaps* ours) {
    Clash best;
    for (guint t = 0; t < gst_caps_get_size(theirs); t++)
        for (guint o = 0; o < gst_caps_get_size(ours); o++) {
            Clash c = clash_of(theirs, t, ours, o);
            if (!best.theirs || c.cost < best.cost) best = std::move(c);
        }
    return best;
}

// ---- what they ask for ----

std::string asked(const Clash& c) {
    if (!c.media.empty()) return c.media;
    Strings list;
    if (!c.features.empty()) list.push_back("video/x-raw(" + c.features + ")");
    for (const auto& field : c.fields)
        list.push_back(setting(field.c_str(), gst_structure_get_value(c.theirs, field.c_str())));
    return join(list, "and");
}

// ---- what they may ask for ----

// Legal values next to what is asked for.
struct Sides {
    int nearest = 0, above = 0, below = 0;
};

// The part of `value` that is nearest to `wanted`, a single number or a range.
const GValue* nearest_part(const GValue* value, int wanted) {
    if (!GST_VALUE_HOLDS_LIST(value)) return value;
    const GValue* best = nullptr;
    auto away = [&](const GValue* v) {
        return std::abs(nearest_int(v, wanted).value_or(G_MAXINT / 2) - wanted);
    };
    for (guint i = 0; i < gst_value_list_get_size(value); i++) {
        const GValue* v = gst_value_list_get_value(value, i);
        if (!best || away(v) < away(best)) best = v;
    }
    return best;
}

// Legal sides: multiples of the step, from `smallest` to `largest`.
Sides sides_of(const Clash& c, const char* field, int step, int smallest, int largest, int native) {
    const GValue* wanted = gst_structure_get_value(c.theirs, field);
    if (std::find(c.fields.begin(), c.fields.end(), field) == c.fields.end()) {
        GValue both = G_VALUE_INIT;
        int legal = native;
        if (wanted && gst_value_intersect(&both, wanted, gst_structure_get_value(c.ours, field))) {
            legal = nearest_int(&both, native).value_or(native);
            g_value_unset(&both);
        }
        return {legal, legal, legal};
    }
    int least = native, most = native;
    const GValue* part = nearest_part(wanted, native);
    if (part && G_VALUE_HOLDS_INT(part)) least = most = g_value_get_int(part);
    if (part && GST_VALUE_HOLDS_INT_RANGE(part)) {
        least = gst_value_get_int_range_min(part);
        most = gst_value_get_int_range_max(part);
    }
    Sides s;
    s.below = std::clamp(least / step * step, smallest, largest);
    s.above = int(std::clamp((int64_t(most) + step - 1) / step * step, int64_t(smallest), int64_t(largest)));
    s.nearest = std::abs(least - s.below) < std::abs(s.above - most) ? s.below : s.above;
    return s;
}

// "960x544 or 960x528"; "width=320 or 304" where only a width is asked for.
std::string legal_size(const Clash& c, const ModelSizes& sizes) {
    const Sides w =
        sides_of(c, "width", sizes.step_width, sizes.least_width, sizes.largest_width, sizes.preferred.width);
    const Sides h = sides_of(c, "height", sizes.step_height, sizes.least_height, sizes.largest_height,
                             sizes.preferred.height);
    const bool width_given = gst_structure_has_field(c.theirs, "width");
    const bool height_given = gst_structure_has_field(c.theirs, "height");
    Strings list;
    for (const auto& [width, height] :
         {std::pair(w.nearest, h.nearest), std::pair(w.above, h.above), std::pair(w.below, h.below)})
        add_new(list, width_given && height_given ? std::to_string(width) + "x" + std::to_string(height)
                                                  : std::to_string(width_given ? width : height));
    return (width_given && height_given ? "" : width_given ? "width=" : "height=") + join(list, "or");
}

std::string legal_rate(const Clash& c, const PictureFormat& native) {
    FrameRate rate{native.frame_rate_n, native.frame_rate_d};
    const auto wanted = nearest_rate(gst_structure_get_value(c.theirs, "framerate"), rate);
    // 0/1 is not a slow rate: it means a variable one.
    if (wanted && wanted->n > 0)
        rate = nearest_rate(gst_structure_get_value(c.ours, "framerate"), *wanted).value_or(rate);
    return "framerate=" + std::to_string(rate.n) + "/" + std::to_string(rate.d);
}

std::string legal_format(const Clash& c) {
    const GValue* value = gst_structure_get_value(c.theirs, "format");
    if (GST_VALUE_HOLDS_LIST(value) && gst_value_list_get_size(value))
        value = gst_value_list_get_value(value, 0);
    const GstVideoFormat format = G_VALUE_HOLDS_STRING(value)
                                      ? gst_video_format_from_string(g_value_get_string(value))
                                      : GST_VIDEO_FORMAT_UNKNOWN;
    const GstVideoFormatInfo* info = gst_video_format_get_info(format);
    if (c.on_gpu) return "format=NV12";
    const bool rgb = info && GST_VIDEO_FORMAT_INFO_IS_RGB(info);
    return rgb ? "format=RGB, I420 or NV12" : "format=I420, NV12 or RGB";
}

std::string legal(const Clash& c, const ModelSizes& sizes) {
    if (!c.media.empty()) return "video/x-raw";
    Strings list;
    if (!c.features.empty()) list.push_back("video/x-raw without a memory feature");
    for (const auto& field : c.fields) {
        if (is_size(field))
            add_new(list, legal_size(c, sizes));
        else if (field == "framerate")
            list.push_back(legal_rate(c, sizes.preferred));
        else if (field == "format")
            list.push_back(legal_format(c));
        else
            list.push_back(setting(field.c_str(), gst_structure_get_value(c.ours, field.c_str())));
    }
    return join(list, "and");
}

// ---- what converts ----

std::string uploader(const std::string& features) {
    const struct {
        const char *memory, *element;
    } known[] = {{"memory:GLMemory", "glupload"},
                 {"memory:CUDAMemory", "cudaupload"},
                 {"memory:VAMemory", "vapostproc"},
                 {"memory:VASurface", "vaapipostproc"}};
    for (const auto& k : known)
        if (features.find(k.memory) != std::string::npos) return k.element;
    return "an element that uploads frames to that memory";
}

std::string converters(const Clash& c) {
    if (!c.media.empty())
        return g_str_has_prefix(c.media.c_str(), "video/") || g_str_has_prefix(c.media.c_str(), "image/")
                   ? "an encoder"
                   : "an element that takes video";
    Strings list;
    for (const auto& field : c.fields) {
        if (is_size(field) || field == "pixel-aspect-ratio")
            add_new(list, c.on_gpu ? "cudascale" : "videoscale");
        else if (field == "framerate")
            add_new(list, "videorate");
        else if (field == "interlace-mode")
            add_new(list, "interlace");
        else
            add_new(list, c.on_gpu ? "cudaconvert" : "videoconvert");
    }
    if (!c.features.empty()) list.push_back(uploader(c.features));
    return join(list, "and");
}

const char* const CONTRADICTION =
    "The elements after motioncachegen ask for caps that exclude each other, so there is no video that suits all of "
    "them: put videoconvert, videoscale and videorate between them (in each branch of a tee), or ask for less in "
    "their caps filters.";

} // namespace

std::string clash_with_model(const GstCaps* theirs, const GstCaps* ours, const ModelSizes& sizes,
                             const std::string& no_gpu) {
    if (gst_caps_is_empty(theirs)) return CONTRADICTION;
    const Clash c = least_clash(theirs, ours);
    const bool gpu = c.features.find(MC_CUDA_MEMORY) != std::string::npos && !no_gpu.empty();
    return "The next element asks for " + asked(c) + ", which motioncachegen does not produce" +
           (gpu ? " here, as " + no_gpu : "") + ": ask for " +
           legal(c, sizes) + " instead, or put " + converters(c) + " in between.";
}

std::string clash_with_made(const GstCaps* theirs, const GstCaps* ours, const PictureFormat& made) {
    if (gst_caps_is_empty(theirs)) return CONTRADICTION;
    const Clash c = least_clash(theirs, ours);
    return "The next element asks for " + asked(c) +
           ", but the video that is being made, I420, NV12 or RGB in " + text_of(made) +
           ", keeps its size and rate until the element is stopped: put " + converters(c) +
           " in between, or stop first.";
}

std::string refusal_of(const GstCaps* caps) {
    GstVideoInfo info;
    const bool known = caps && gst_video_info_from_caps(&info, caps);
    return "An element after motioncachegen refuses " +
           (known ? std::string(gst_video_format_to_string(GST_VIDEO_INFO_FORMAT(&info))) + " in " +
                        text_of(PictureFormat{info.width, info.height, info.fps_n, info.fps_d})
                  : std::string("the video")) +
           ", which it had offered to accept: give the caps filter after it both width and height, or put "
           "videoconvert, videoscale and videorate before it.";
}

} // namespace mc::gst
