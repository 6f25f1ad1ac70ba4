// SPDX-License-Identifier: LGPL-2.1-or-later
/**
 * SECTION:element-motioncacheoverlay
 * @title: motioncacheoverlay
 *
 * Draws over a video of motioncachegen where in the picture it was computed: each token, 16 x 16 pixels of the
 * generated picture, has the colour of the share of denoising steps in which it went through the transformer. The
 * others reused what was computed before. The colours go from the lowest to the highest share of the frame, which the
 * legend names, or from none to all of the steps (#GstMotionCacheOverlay:scale). The figures come with each buffer
 * (motioncachemeta.h); buffers without them, of another source, pass through untouched.
 *
 * Place it right behind motioncachegen, or behind elements that keep metas and the whole picture, such as videoscale.
 *
 * ## Example launch line
 * |[
 * gst-launch-1.0 motioncachegen prompt="a white boat moving left on the sea" ! motioncacheoverlay ! videoconvert ! autovideosink sync=false
 * ]|
 *
 * All properties may be changed at any time; #GstMotionCacheOverlay:opacity can be driven by a controller.
 *
 * Since: 0.1
 */
#include "gst/motioncacheoverlay.h"

#include <gst/video/video.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "gst/frame_meta.h"
#include "gst/heat_map.h"
#include "gst/motioncachemeta.h"

GST_DEBUG_CATEGORY_STATIC(motioncacheoverlay_debug);
#define GST_CAT_DEFAULT motioncacheoverlay_debug

struct _GstMotionCacheOverlay {
    GstVideoFilter parent;
    // OBJECT_LOCK
    gboolean enabled, show_legend;
    gdouble opacity;
    gint map, scale;
};

#define gst_motioncache_overlay_parent_class parent_class
G_DEFINE_TYPE(GstMotionCacheOverlay, gst_motioncache_overlay, GST_TYPE_VIDEO_FILTER)
GST_ELEMENT_REGISTER_DEFINE(motioncacheoverlay, "motioncacheoverlay", GST_RANK_NONE, GST_TYPE_MOTIONCACHE_OVERLAY)

// Of the formats that GStreamer can blend into, those that motioncachegen, converters and sinks prefer.
#define FORMATS                                                                                                     \
    "{ I420, NV12, RGB, YV12, NV21, Y42B, Y444, YUY2, UYVY, AYUV, RGBA, BGRA, ARGB, ABGR, RGBx, BGRx, xRGB, xBGR, " \
    "BGR, GRAY8, I420_10LE, P010_10LE }"

namespace {

enum Property : guint { ENABLED = 1, OPACITY, SHOW_LEGEND, MAP, SCALE };
enum Map { COMPUTED, MOTION };
enum Scale { FRAME, WHOLE };

constexpr gboolean DEFAULT_ENABLED = TRUE, DEFAULT_SHOW_LEGEND = TRUE;
constexpr gdouble DEFAULT_OPACITY = 0.5;
constexpr Map DEFAULT_MAP = COMPUTED;
constexpr Scale DEFAULT_SCALE = FRAME;

GType map_type() {
    static const GType type = [] {
        static const GEnumValue values[] = {
            {COMPUTED, "In what share of the steps a token was computed", "computed"},
            {MOTION, "How much a token moved, as the cache weighs it; where it was not measured, as computed",
             "motion"},
            {0, nullptr, nullptr}};
        const GType made = g_enum_register_static("GstMotionCacheOverlayMap", values);
        gst_type_mark_as_plugin_api(made, GST_PLUGIN_API_FLAG_IGNORE_ENUM_MEMBERS);
        return made;
    }();
    return type;
}

GType scale_type() {
    static const GType type = [] {
        static const GEnumValue values[] = {
            {FRAME, "From the lowest to the highest value of the frame", "frame"},
            {WHOLE, "From none to all steps (map=motion: from weight 0 to 1), whatever the frame has", "whole"},
            {0, nullptr, nullptr}};
        const GType made = g_enum_register_static("GstMotionCacheOverlayScale", values);
        gst_type_mark_as_plugin_api(made, GST_PLUGIN_API_FLAG_IGNORE_ENUM_MEMBERS);
        return made;
    }();
    return type;
}

struct Wanted {
    gboolean enabled, show_legend;
    gdouble opacity;
    gint map, scale;
};

Wanted wanted_of(GstMotionCacheOverlay* self) {
    GST_OBJECT_LOCK(self);
    const Wanted wanted{self->enabled, self->show_legend, self->opacity, self->map, self->scale};
    GST_OBJECT_UNLOCK(self);
    return wanted;
}

mc::gst::Drawing draw(const GstMotionCacheFacts& facts, const Wanted& wanted, int width, int height) {
    using namespace mc::gst;
    const size_t tokens = size_t(facts.map_width) * size_t(facts.map_height);
    const bool motion = wanted.map == MOTION && facts.motion;
    std::vector<float> values(tokens);
    for (size_t t = 0; t < tokens; t++) values[t] = motion ? facts.motion[t] : float(facts.computed[t]) / 255;
    const auto [least, most] = std::minmax_element(values.begin(), values.end());
    const bool stretched = wanted.scale == FRAME && *most > *least;
    const float low = stretched ? *least : 0, high = stretched ? *most : 1;
    for (float& value : values) value = (value - low) / (high - low);
    Drawing drawing(width, height);
    draw_map(drawing, values.data(), facts.map_width, facts.map_height, wanted.opacity);
    if (!wanted.show_legend) return drawing;
    const auto percent = [](double share) { return std::to_string(std::lround(100 * share)) + "%"; };
    const gint64 all = facts.tokens_computed + facts.tokens_reused;
    draw_legend(drawing, motion ? "still" : percent(low), motion ? "moving" : percent(high),
                "chunk " + std::to_string(facts.chunk) + " computed " +
                    percent(all > 0 ? double(facts.tokens_computed) / double(all) : 0));
    return drawing;
}

void blend(const mc::gst::Drawing& drawing, GstVideoFrame* frame) {
    const size_t size = drawing.pixels.size() * sizeof(uint32_t);
    GstBuffer* buffer = gst_buffer_new_memdup(drawing.pixels.data(), size);
    gst_buffer_add_video_meta(buffer, GST_VIDEO_FRAME_FLAG_NONE, GST_VIDEO_OVERLAY_COMPOSITION_FORMAT_RGB,
                              guint(drawing.width), guint(drawing.height));
    GstVideoOverlayRectangle* rectangle = gst_video_overlay_rectangle_new_raw(
        buffer, 0, 0, guint(drawing.width), guint(drawing.height), GST_VIDEO_OVERLAY_FORMAT_FLAG_NONE);
    GstVideoOverlayComposition* composition = gst_video_overlay_composition_new(rectangle);
    gst_video_overlay_composition_blend(composition, frame);
    gst_video_overlay_composition_unref(composition);
    gst_video_overlay_rectangle_unref(rectangle);
    gst_buffer_unref(buffer);
}

// ---- object ----

void gst_motioncache_overlay_set_property(GObject* object, guint id, const GValue* value, GParamSpec* spec) {
    GstMotionCacheOverlay* self = GST_MOTIONCACHE_OVERLAY(object);
    GST_OBJECT_LOCK(self);
    switch (id) {
    case ENABLED:
        self->enabled = g_value_get_boolean(value);
        break;
    case OPACITY:
        self->opacity = g_value_get_double(value);
        break;
    case SHOW_LEGEND:
        self->show_legend = g_value_get_boolean(value);
        break;
    case MAP:
        self->map = g_value_get_enum(value);
        break;
    case SCALE:
        self->scale = g_value_get_enum(value);
        break;
    default:
        G_OBJECT_WARN_INVALID_PROPERTY_ID(object, id, spec);
    }
    GST_OBJECT_UNLOCK(self);
}

void gst_motioncache_overlay_get_property(GObject* object, guint id, GValue* value, GParamSpec* spec) {
    const Wanted wanted = wanted_of(GST_MOTIONCACHE_OVERLAY(object));
    switch (id) {
    case ENABLED:
        return g_value_set_boolean(value, wanted.enabled);
    case OPACITY:
        return g_value_set_double(value, wanted.opacity);
    case SHOW_LEGEND:
        return g_value_set_boolean(value, wanted.show_legend);
    case MAP:
        return g_value_set_enum(value, wanted.map);
    case SCALE:
        return g_value_set_enum(value, wanted.scale);
    default:
        G_OBJECT_WARN_INVALID_PROPERTY_ID(object, id, spec);
    }
}

// ---- frames ----

bool is_drawn_on(GstBaseTransform* transform, GstBuffer* buffer) {
    GstMotionCacheFacts facts;
    return wanted_of(GST_MOTIONCACHE_OVERLAY(transform)).enabled && gst_motion_cache_facts_read(buffer, &facts);
}

void gst_motioncache_overlay_before_transform(GstBaseTransform* transform, GstBuffer* buffer) {
    const GstClockTime time =
        gst_segment_to_stream_time(&transform->segment, GST_FORMAT_TIME, GST_BUFFER_PTS(buffer));
    if (GST_CLOCK_TIME_IS_VALID(time)) gst_object_sync_values(GST_OBJECT(transform), time);
}

// What is not drawn on goes on as it is, without a copy even where others hold it.
GstFlowReturn gst_motioncache_overlay_prepare_output_buffer(GstBaseTransform* transform, GstBuffer* in,
                                                            GstBuffer** out) {
    if (is_drawn_on(transform, in))
        return GST_BASE_TRANSFORM_CLASS(parent_class)->prepare_output_buffer(transform, in, out);
    *out = in;
    return GST_FLOW_OK;
}

// Asks once more: enabled may have changed since, and a buffer that others hold cannot be drawn on.
GstFlowReturn gst_motioncache_overlay_transform_ip(GstBaseTransform* transform, GstBuffer* buffer) {
    if (!gst_buffer_is_writable(buffer) || !is_drawn_on(transform, buffer)) return GST_FLOW_OK;
    return GST_BASE_TRANSFORM_CLASS(parent_class)->transform_ip(transform, buffer);
}

GstFlowReturn gst_motioncache_overlay_transform_frame_ip(GstVideoFilter* filter, GstVideoFrame* frame) {
    const Wanted wanted = wanted_of(GST_MOTIONCACHE_OVERLAY(filter));
    GstMotionCacheFacts facts;
    if (gst_motion_cache_facts_read(frame->buffer, &facts))
        blend(draw(facts, wanted, GST_VIDEO_FRAME_WIDTH(frame), GST_VIDEO_FRAME_HEIGHT(frame)), frame);
    return GST_FLOW_OK;
}

} // namespace

// ---- class ----

static void gst_motioncache_overlay_class_init(GstMotionCacheOverlayClass* klass) {
    auto* object = G_OBJECT_CLASS(klass);
    auto* element = GST_ELEMENT_CLASS(klass);
    auto* transform = GST_BASE_TRANSFORM_CLASS(klass);

    GST_DEBUG_CATEGORY_INIT(motioncacheoverlay_debug, "motioncacheoverlay", 0, "where a video was computed");
    mc::gst::register_frame_meta();

    object->set_property = GST_DEBUG_FUNCPTR(gst_motioncache_overlay_set_property);
    object->get_property = GST_DEBUG_FUNCPTR(gst_motioncache_overlay_get_property);
    constexpr auto FLAGS = GParamFlags(G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS | GST_PARAM_MUTABLE_PLAYING);
    g_object_class_install_property(
        object, ENABLED,
        g_param_spec_boolean("enabled", "Enabled",
                             "Whether to draw; if not, all frames pass through untouched.", DEFAULT_ENABLED,
                             FLAGS));
    g_object_class_install_property(
        object, OPACITY,
        g_param_spec_double("opacity", "Opacity",
                            "Opacity of the map, from 0 (invisible) to 1 (hides the video).", 0, 1,
                            DEFAULT_OPACITY, GParamFlags(FLAGS | GST_PARAM_CONTROLLABLE)));
    g_object_class_install_property(
        object, SHOW_LEGEND,
        g_param_spec_boolean("show-legend", "Show the legend",
                             "Draw what the colours mean, the number of the chunk and how much of it was computed, in "
                             "the lower left corner; pictures that are too small for it have none.",
                             DEFAULT_SHOW_LEGEND, FLAGS));
    g_object_class_install_property(
        object, MAP,
        g_param_spec_enum("map", "Map", "What is drawn.", map_type(), DEFAULT_MAP, FLAGS));
    g_object_class_install_property(
        object, SCALE,
        g_param_spec_enum("scale", "Scale", "What the darkest and the lightest colour stand for; the legend shows it.",
                          scale_type(), DEFAULT_SCALE, FLAGS));

    gst_element_class_set_static_metadata(element, "Where a generated video was computed", "Filter/Effect/Video",
                                          "Draws over a video of motioncachegen how often each part of it was computed",
                                          "The motioncachegen authors");
    GstCaps* caps = gst_caps_from_string(GST_VIDEO_CAPS_MAKE(FORMATS));
    gst_element_class_add_pad_template(element, gst_pad_template_new("sink", GST_PAD_SINK, GST_PAD_ALWAYS, caps));
    gst_element_class_add_pad_template(element, gst_pad_template_new("src", GST_PAD_SRC, GST_PAD_ALWAYS, caps));
    gst_caps_unref(caps);

    transform->before_transform = GST_DEBUG_FUNCPTR(gst_motioncache_overlay_before_transform);
    transform->prepare_output_buffer = GST_DEBUG_FUNCPTR(gst_motioncache_overlay_prepare_output_buffer);
    transform->transform_ip = GST_DEBUG_FUNCPTR(gst_motioncache_overlay_transform_ip);
    GST_VIDEO_FILTER_CLASS(klass)->transform_frame_ip = GST_DEBUG_FUNCPTR(gst_motioncache_overlay_transform_frame_ip);
}

static void gst_motioncache_overlay_init(GstMotionCacheOverlay* self) {
    self->enabled = DEFAULT_ENABLED;
    self->show_legend = DEFAULT_SHOW_LEGEND;
    self->opacity = DEFAULT_OPACITY;
    self->map = DEFAULT_MAP;
    self->scale = DEFAULT_SCALE;
}
