// SPDX-License-Identifier: LGPL-2.1-or-later
// From the generator's frames to buffers on the element's pad.
#include <utility>

#include "gst/debug.h"
#include "gst/element.h"
#include "gst/frame_meta.h"

#define GST_CAT_DEFAULT motioncachegen_debug

namespace mc::gst {

static gboolean gst_motioncache_gen_event(GstBaseSrc* src, GstEvent* event) {
    if (GST_EVENT_TYPE(event) == GST_EVENT_LATENCY) {
        GstClockTime latency = 0;
        gst_event_parse_latency(event, &latency);
        state_of(src).pacing.configured(latency);
    }
    return base_class()->event(src, event);
}

static void stamp(GstBuffer* buffer, gint64 frame, const GstVideoInfo& info) {
    auto time = [&](gint64 f) { return gst_util_uint64_scale(f, GST_SECOND * info.fps_d, info.fps_n); };
    GST_BUFFER_PTS(buffer) = time(frame);
    GST_BUFFER_DURATION(buffer) = time(frame + 1) - time(frame);
}

static void stamp(GstBuffer* buffer, const Timeline::Stamp& stamp) {
    GST_BUFFER_PTS(buffer) = stamp.pts;
    GST_BUFFER_DURATION(buffer) = stamp.duration;
    if (stamp.discont) GST_BUFFER_FLAG_SET(buffer, GST_BUFFER_FLAG_DISCONT);
}

static GstFlowReturn write_frame(GstPushSrc* src, GstBuffer* buffer) {
    State& state = state_of(src);
    const McPixelFormat format = pixel_format_of(state.info);
    const auto failed = [src](const std::optional<Fault>& fault) {
        if (fault) gst_element_post_message(GST_ELEMENT(src), message_of(GST_ELEMENT(src), *fault));
        return fault.has_value();
    };
    // Frames that were made elsewhere (device=auto took the CPU) go through main memory, from where GStreamer uploads.
    const guint there = state.on_gpu && state.generator.on_gpu(state.gpu.device()) ? state.gpu.map_flags(buffer) : 0;
    if (!there && failed(state.generator.prepare(format))) return GST_FLOW_ERROR;
    GstVideoFrame frame;
    if (!gst_video_frame_map(&frame, &state.info, buffer, GstMapFlags(GST_MAP_WRITE | there))) {
        GST_ELEMENT_ERROR(src, RESOURCE, WRITE,
                          ("The buffer that the next element allocated for a frame cannot be written: put "
                           "identity drop-allocation=true after motioncachegen."),
                          (nullptr));
        return GST_FLOW_ERROR;
    }
    uint8_t* planes[3] = {};
    int strides[3] = {};
    for (guint i = 0; i < GST_VIDEO_FRAME_N_PLANES(&frame); i++) {
        planes[i] = static_cast<uint8_t*>(GST_VIDEO_FRAME_PLANE_DATA(&frame, i));
        strides[i] = GST_VIDEO_FRAME_PLANE_STRIDE(&frame, i);
    }
    std::optional<Fault> fault;
    if (there)
        fault = state.generator.write_there(format, planes, strides);
    else
        state.generator.write(format, planes, strides);
    gst_video_frame_unmap(&frame);
    return failed(fault) ? GST_FLOW_ERROR : GST_FLOW_OK;
}

static Pacing::Next await_frame(State& state, bool live) {
    if (live) return state.pacing.wait();
    switch (state.generator.wait()) {
    case Generator::Next::FRAME:
        return Pacing::Next::FRAME;
    case Generator::Next::END:
        return Pacing::Next::END;
    case Generator::Next::FAILED:
        return Pacing::Next::FAILED;
    default:
        return Pacing::Next::FLUSHING;
    }
}

static GstFlowReturn gst_motioncache_gen_create(GstPushSrc* src, GstBuffer** out) {
    State& state = state_of(src);
    const bool live = gst_base_src_is_live(GST_BASE_SRC(src));
    // Forgotten here, not when the frame is given out: a flush or a pause may come while it is written.
    const bool interrupted = state.interrupted.exchange(false);
    if (std::exchange(state.given, false) && (state.pushed || !interrupted)) {
        state.generator.advance();
        if (live) state.pacing.taken();
    }
    const Pacing::Next next = await_frame(state, live);
    if (next == Pacing::Next::FLUSHING) return GST_FLOW_FLUSHING;
    if (next == Pacing::Next::END) return GST_FLOW_EOS;
    if (next == Pacing::Next::FAILED) return GST_FLOW_ERROR;

    GstBuffer* buffer = nullptr;
    if (next == Pacing::Next::REPEAT) {
        buffer = gst_buffer_copy(state.last_frame);
        stamp(buffer, state.pacing.stamp());
        state.pacing.taken();
        *out = buffer;
        return GST_FLOW_OK;
    }
    GstFlowReturn flow = base_class()->alloc(GST_BASE_SRC(src), -1, guint(state.info.size), &buffer);
    if (flow != GST_FLOW_OK) return flow;
    flow = write_frame(src, buffer);
    if (flow != GST_FLOW_OK) {
        gst_buffer_unref(buffer);
        return flow;
    }
    const gint64 index = state.generator.frame_index();
    GST_BUFFER_DTS(buffer) = GST_CLOCK_TIME_NONE;
    GST_BUFFER_OFFSET(buffer) = index;
    GST_BUFFER_OFFSET_END(buffer) = index + 1;
    if (live)
        stamp(buffer, state.pacing.stamp());
    else
        stamp(buffer, index, state.info);
    add_frame_meta(buffer, index, state.generator.work());
    tell_settings(GST_ELEMENT(src), buffer);
    if (live && Underrun(state.pacing.settings().underrun) == Underrun::REPEAT) {
        GstBuffer* copy = gst_buffer_copy(buffer);
        GST_BUFFER_FLAG_UNSET(copy, GST_BUFFER_FLAG_DISCONT);
        gst_buffer_replace(&state.last_frame, copy);
        gst_buffer_unref(copy);
    }
    GST_LOG_OBJECT(src, "frame %" G_GINT64_FORMAT, index);
    state.given = true;
    state.pushed = false;
    *out = buffer;
    return GST_FLOW_OK;
}

static GstPadProbeReturn note_push(GstPad*, GstPadProbeInfo*, gpointer state) {
    static_cast<State*>(state)->pushed = true;
    return GST_PAD_PROBE_OK;
}

void install_frames(GstPushSrcClass* klass) {
    GST_BASE_SRC_CLASS(klass)->event = GST_DEBUG_FUNCPTR(gst_motioncache_gen_event);
    klass->create = GST_DEBUG_FUNCPTR(gst_motioncache_gen_create);
}

void watch_pushes(GstPad* pad, State& state) {
    gst_pad_add_probe(pad, GST_PAD_PROBE_TYPE_BUFFER, note_push, &state, nullptr);
}

} // namespace mc::gst
