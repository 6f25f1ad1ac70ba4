// SPDX-License-Identifier: LGPL-2.1-or-later
#include "gst/video_caps.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "gst/gpu_frames.h"

namespace mc::gst {
namespace {

constexpr int LARGEST = 4096; // as in the template

void set_range(GstCaps* caps, const char* field, int step, int least, int largest) {
    GValue range = G_VALUE_INIT;
    g_value_init(&range, GST_TYPE_INT_RANGE);
    gst_value_set_int_range_step(&range, least, largest / step * step, step);
    gst_caps_set_value(caps, field, &range);
    g_value_unset(&range);
}

FrameRate rate_of(const PictureFormat& p) {
    return {p.frame_rate_n, p.frame_rate_d};
}

std::vector<std::string> formats_of(const GstStructure* s) {
    const GValue* value = gst_structure_get_value(s, "format");
    std::vector<std::string> formats;
    if (value && G_VALUE_HOLDS_STRING(value)) formats.push_back(g_value_get_string(value));
    for (guint i = 0; value && GST_VALUE_HOLDS_LIST(value) && i < gst_value_list_get_size(value); i++)
        formats.push_back(g_value_get_string(gst_value_list_get_value(value, i)));
    return formats;
}

// The formats that downstream prefers, best first. A long list is only what a converter or a mixer can do, in the order
// of GStreamer's video library, and no preference: then I420.
std::vector<std::string> wishes_of(const GstCaps* theirs) {
    constexpr size_t LONG = 8;
    std::vector<std::string> wishes;
    for (guint i = 0; i < gst_caps_get_size(theirs); i++) {
        const auto formats = formats_of(gst_caps_get_structure(theirs, i));
        if (formats.size() > LONG && std::find(formats.begin(), formats.end(), "I420") != formats.end())
            wishes.push_back("I420");
        wishes.insert(wishes.end(), formats.begin(), formats.end());
    }
    return wishes;
}

struct Size {
    int width, height;
};

double distance(Size s, const PictureFormat& native) {
    return std::abs(std::log(double(s.width) / native.width)) +
           std::abs(std::log(double(s.height) / native.height));
}

// The native size where it is allowed. Where one dimension is constrained, the other follows in proportion as far as
// allowed: width=320 alone must not squash the picture.
std::optional<Size> choose_size(const GstStructure* s, const PictureFormat& native) {
    const GValue* widths = gst_structure_get_value(s, "width");
    const GValue* heights = gst_structure_get_value(s, "height");
    if (!widths || !heights) return {};
    const auto width = nearest_int(widths, native.width);
    const auto height = nearest_int(heights, native.height);
    if (!width || !height) return {};
    if (*width == native.width && *height == native.height) return Size{*width, *height};
    auto in_proportion = [](int side, int from, int to) {
        return int(std::lround(double(side) * to / from));
    };
    const Size by_width{*width, *nearest_int(heights, in_proportion(native.height, native.width, *width))};
    const Size by_height{*nearest_int(widths, in_proportion(native.width, native.height, *height)), *height};
    auto stretch = [&](Size size) {
        return std::abs(std::log(double(size.width) / size.height * native.height / native.width));
    };
    auto rank = [&](Size size) { return std::pair(stretch(size), distance(size, native)); };
    return rank(by_width) <= rank(by_height) ? by_width : by_height;
}

// One allowed structure, fixated.
struct Choice {
    guint structure;
    PictureFormat picture;
    std::string format;
    double size_distance, rate_distance; // 0: native
    size_t format_rank;                  // among downstream's
    auto rank() const { return std::tuple(size_distance, rate_distance, format_rank); }
};

} // namespace

ModelSizes sizes_of(const model::PictureSizes& p) {
    return {p.step_width, p.step_height, p.least_width, p.least_height, std::min(LARGEST, p.largest_width),
            std::min(LARGEST, p.largest_height), {p.width, p.height, p.frame_rate_n, p.frame_rate_d}, p.num_frames,
            p.chunk_latents};
}

GstCaps* narrow_caps(const GstCaps* caps, const ModelSizes& sizes) {
    GstCaps* narrow = gst_caps_copy(caps);
    set_range(narrow, "width", sizes.step_width, sizes.least_width, sizes.largest_width);
    set_range(narrow, "height", sizes.step_height, sizes.least_height, sizes.largest_height);
    return narrow;
}

GstCaps* narrow_caps(const GstCaps* caps, const PictureFormat& p) {
    GstCaps* narrow = gst_caps_copy(caps);
    gst_caps_set_simple(narrow, "width", G_TYPE_INT, p.width, "height", G_TYPE_INT, p.height, "framerate",
                        GST_TYPE_FRACTION, p.frame_rate_n, p.frame_rate_d, nullptr);
    return narrow;
}

std::optional<int> nearest_int(const GValue* value, int wanted) {
    if (G_VALUE_HOLDS_INT(value)) return g_value_get_int(value);
    if (GST_VALUE_HOLDS_INT_RANGE(value)) {
        const int step = gst_value_get_int_range_step(value);
        const int rounded = int((int64_t(wanted) + step / 2) / step * step);
        return std::clamp(rounded, gst_value_get_int_range_min(value), gst_value_get_int_range_max(value));
    }
    std::optional<int> best;
    for (guint i = 0; GST_VALUE_HOLDS_LIST(value) && i < gst_value_list_get_size(value); i++) {
        const auto v = nearest_int(gst_value_list_get_value(value, i), wanted);
        if (v && (!best || std::abs(*v - wanted) < std::abs(*best - wanted))) best = v;
    }
    return best;
}

std::optional<FrameRate> nearest_rate(const GValue* value, FrameRate wanted) {
    auto rate_of = [](const GValue* v) {
        return FrameRate{gst_value_get_fraction_numerator(v), gst_value_get_fraction_denominator(v)};
    };
    if (GST_VALUE_HOLDS_FRACTION(value)) return rate_of(value);
    if (GST_VALUE_HOLDS_FRACTION_RANGE(value)) {
        const FrameRate least = rate_of(gst_value_get_fraction_range_min(value));
        const FrameRate most = rate_of(gst_value_get_fraction_range_max(value));
        if (wanted.per_second() < least.per_second()) return least;
        return wanted.per_second() > most.per_second() ? most : wanted;
    }
    std::optional<FrameRate> best;
    for (guint i = 0; GST_VALUE_HOLDS_LIST(value) && i < gst_value_list_get_size(value); i++) {
        const auto v = nearest_rate(gst_value_list_get_value(value, i), wanted);
        if (v && (!best || std::abs(v->per_second() - wanted.per_second()) <
                               std::abs(best->per_second() - wanted.per_second())))
            best = v;
    }
    return best;
}

GstCaps* choose_caps(GstCaps* theirs, GstCaps* ours, const PictureFormat& native) {
    const auto wishes = wishes_of(theirs); // regardless of size
    GstCaps* allowed = gst_caps_intersect_full(theirs, ours, GST_CAPS_INTERSECT_FIRST);
    std::optional<Choice> best;
    for (guint i = 0; i < gst_caps_get_size(allowed); i++) {
        const GstStructure* s = gst_caps_get_structure(allowed, i);
        const auto size = choose_size(s, native);
        const GValue* rates = gst_structure_get_value(s, "framerate");
        const auto rate = rates ? nearest_rate(rates, rate_of(native)) : std::nullopt;
        if (!size || !rate) continue;
        Choice c{i, {size->width, size->height, rate->n, rate->d}, "", 0, 0, wishes.size() + 1};
        c.size_distance = distance(*size, native);
        c.rate_distance = std::abs(std::log(rate->per_second() / rate_of(native).per_second()));
        for (auto& format : formats_of(s)) {
            const size_t rank = std::find(wishes.begin(), wishes.end(), format) - wishes.begin();
            if (rank < c.format_rank) c.format_rank = rank, c.format = format;
        }
        if (!best || c.rank() < best->rank()) best = c;
    }
    GstCaps* caps = best ? gst_caps_copy_nth(allowed, best->structure) : gst_caps_new_empty();
    gst_caps_unref(allowed);
    if (!best) return caps;
    // Where downstream accepts ANY, system memory.
    if (!is_gpu_memory(gst_caps_get_features(caps, 0))) gst_caps_set_features(caps, 0, nullptr);
    GstCaps* narrow = narrow_caps(caps, best->picture);
    gst_caps_unref(caps);
    gst_caps_set_simple(narrow, "format", G_TYPE_STRING, best->format.c_str(), nullptr);
    return gst_caps_fixate(narrow);
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
