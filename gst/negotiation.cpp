// SPDX-License-Identifier: LGPL-2.1-or-later
// The element's caps, allocation and queries.
#include "gst/caps_clash.h"
#include "gst/debug.h"
#include "gst/element.h"

#define GST_CAT_DEFAULT motioncachegen_debug

namespace mc::gst {

// Before start() any caps may be linked, so that negotiation can report what clashes and what would fit;
// gst_parse_launch would only report that the element "can't handle caps".
static GstCaps* gst_motioncache_gen_get_caps(GstBaseSrc* src, GstCaps* filter) {
    GstCaps* wide = gst_pad_get_pad_template_caps(GST_BASE_SRC_PAD(src));
    GstCaps* caps;
    const bool gpu = state_of(src).gpu.is_open();
    {
        ObjectLock lock(src);
        const State& state = state_of(src);
        if (state.sizes && !gpu) wide = without_gpu_memory(wide);
        if (state.picture) // the size is fixed by now; the pixel format may still change
            caps = narrow_caps(wide, *state.picture);
        else if (state.sizes)
            caps = narrow_caps(wide, *state.sizes);
        else {
            caps = gst_caps_copy(wide);
            gst_caps_append(caps, gst_caps_from_string("video/x-raw; video/x-raw(ANY)"));
        }
    }
    gst_caps_unref(wide);
    if (!filter) return caps;
    GstCaps* filtered = gst_caps_intersect_full(filter, caps, GST_CAPS_INTERSECT_FIRST);
    gst_caps_unref(caps);
    return filtered;
}

static std::optional<std::string> device_of(GstBaseSrc* src) {
    ObjectLock lock(src);
    const State& state = state_of(src);
    return state.started ? state.device : state.settings.model.device;
}

static PictureFormat preferred_of(GstMotionCacheGen* self) {
    ObjectLock lock(self);
    return state_of(self).sizes->preferred;
}

static void explain_disagreement(GstBaseSrc* src, const GstCaps* theirs, const GstCaps* ours) {
    State& state = state_of(src);
    state.generator.await_application();
    if (GST_PAD_IS_FLUSHING(GST_BASE_SRC_PAD(src))) return;
    std::optional<PictureFormat> made;
    ModelSizes sizes;
    {
        ObjectLock lock(src);
        made = state.picture;
        sizes = *state.sizes;
    }
    const std::string text =
        made ? clash_with_made(theirs, ours, *made) : clash_with_model(theirs, ours, sizes, state.gpu.why_not());
    gchar* detail = gst_caps_to_string(theirs);
    GST_ELEMENT_ERROR(src, CORE, NEGOTIATION, ("%s", text.c_str()), ("the next element accepts %s", detail));
    g_free(detail);
}

// As the base class does, but choosing among everything that downstream accepts, in downstream's order: a filter in
// the query would impose our order instead.
static gboolean gst_motioncache_gen_negotiate(GstBaseSrc* src) {
    GstPad* pad = GST_BASE_SRC_PAD(src);
    GstCaps* theirs = gst_pad_peer_query_caps(pad, nullptr);
    GST_DEBUG_OBJECT(src, "the next element accepts %" GST_PTR_FORMAT, theirs);
    if (names_gpu_memory(theirs)) state_of(src).gpu.open(device_of(src));
    GstCaps* ours = gst_pad_query_caps(pad, nullptr);
    GstCaps* caps = choose_caps(theirs, ours, preferred_of(GST_MOTIONCACHE_GEN(src)));
    const bool agreed = !gst_caps_is_empty(caps);
    const gboolean result = agreed && gst_base_src_set_caps(src, caps);
    if (!agreed) explain_disagreement(src, theirs, ours);
    gst_caps_unref(caps);
    gst_caps_unref(theirs);
    gst_caps_unref(ours);
    return result;
}

static gboolean gst_motioncache_gen_set_caps(GstBaseSrc* src, GstCaps* caps) {
    State& state = state_of(src);
    GstVideoInfo info;
    if (!gst_video_info_from_caps(&info, caps)) return FALSE;
    const PictureFormat picture{info.width, info.height, info.fps_n, info.fps_d};
    {
        ObjectLock lock(src);
        if (state.picture && *state.picture != picture) return FALSE;
        state.picture = picture;
        src->segment.duration = state.num_frames < 0
                                    ? GST_CLOCK_TIME_NONE
                                    : gst_util_uint64_scale(state.num_frames, GST_SECOND * info.fps_d, info.fps_n);
    }
    state.info = info;
    state.on_gpu = is_gpu_memory(gst_caps_get_features(caps, 0));
    state.pacing.set_rate(info.fps_n, info.fps_d);
    state.generator.set_picture(picture);
    return TRUE;
}

static gboolean gst_motioncache_gen_decide_allocation(GstBaseSrc* src, GstQuery* query) {
    GstCaps* caps = nullptr;
    gst_query_parse_allocation(query, &caps, nullptr);
    GstVideoInfo info;
    if (!caps || !gst_video_info_from_caps(&info, caps)) return FALSE;

    GstBufferPool* pool = nullptr;
    guint size = 0, least = 0, most = 0;
    const bool offered = gst_query_get_n_allocation_pools(query) > 0;
    if (offered) gst_query_parse_nth_allocation_pool(query, 0, &pool, &size, &least, &most);
    size = MAX(size, guint(info.size));
    const bool on_gpu = is_gpu_memory(gst_caps_get_features(caps, 0));
    if (on_gpu) {
        GstBufferPool* suited = state_of(src).gpu.pool(pool);
        if (suited != pool) least = most = 0;
        gst_clear_object(&pool);
        pool = suited;
        // It has an allocator of its own, and refuses others.
        if (gst_query_get_n_allocation_params(query) > 0)
            gst_query_set_nth_allocation_param(query, 0, nullptr, nullptr);
    }
    if (!pool) pool = gst_video_buffer_pool_new();

    GstStructure* config = gst_buffer_pool_get_config(pool);
    gst_buffer_pool_config_set_params(config, caps, size, least, most);
    if (gst_query_find_allocation_meta(query, GST_VIDEO_META_API_TYPE, nullptr))
        gst_buffer_pool_config_add_option(config, GST_BUFFER_POOL_OPTION_VIDEO_META);
    gst_buffer_pool_set_config(pool, config);
    if (on_gpu) { // with rows as long as the GPU wants them
        config = gst_buffer_pool_get_config(pool);
        gst_buffer_pool_config_get_params(config, nullptr, &size, nullptr, nullptr);
        gst_structure_free(config);
    }

    if (offered)
        gst_query_set_nth_allocation_pool(query, 0, pool, size, least, most);
    else
        gst_query_add_allocation_pool(query, pool, size, least, most);
    gst_object_unref(pool);
    return base_class()->decide_allocation(src, query);
}

static gboolean gst_motioncache_gen_query(GstBaseSrc* src, GstQuery* query) {
    switch (GST_QUERY_TYPE(query)) {
    case GST_QUERY_DURATION: {
        GstFormat format;
        gst_query_parse_duration(query, &format, nullptr);
        ObjectLock lock(src);
        const State& state = state_of(src);
        if (!state.sizes || state.num_frames < 0) return FALSE; // without end there is no answer
        if (format == GST_FORMAT_DEFAULT) {
            gst_query_set_duration(query, format, state.num_frames);
            return TRUE;
        }
        if (format != GST_FORMAT_TIME) return FALSE;
        const PictureFormat& p = state.picture ? *state.picture : state.sizes->preferred;
        gst_query_set_duration(
            query, format,
            gst_util_uint64_scale(state.num_frames, GST_SECOND * p.frame_rate_d, p.frame_rate_n));
        return TRUE;
    }
    case GST_QUERY_CONTEXT:
        return state_of(src).gpu.answer(query, device_of(src)) || base_class()->query(src, query);
    case GST_QUERY_LATENCY: {
        if (!gst_base_src_is_live(src)) return base_class()->query(src, query);
        const Pacing::Latency latency = state_of(src).pacing.latency();
        gst_query_set_latency(query, TRUE, latency.least, latency.most);
        return TRUE;
    }
    case GST_QUERY_SCHEDULING:
        gst_query_set_scheduling(
            query, GstSchedulingFlags(GST_SCHEDULING_FLAG_SEQUENTIAL | GST_SCHEDULING_FLAG_BANDWIDTH_LIMITED),
            1, -1, 0);
        gst_query_add_scheduling_mode(query, GST_PAD_MODE_PUSH);
        return TRUE;
    default:
        return base_class()->query(src, query);
    }
}

void install_negotiation(GstBaseSrcClass* klass) {
    klass->get_caps = GST_DEBUG_FUNCPTR(gst_motioncache_gen_get_caps);
    klass->negotiate = GST_DEBUG_FUNCPTR(gst_motioncache_gen_negotiate);
    klass->set_caps = GST_DEBUG_FUNCPTR(gst_motioncache_gen_set_caps);
    klass->decide_allocation = GST_DEBUG_FUNCPTR(gst_motioncache_gen_decide_allocation);
    klass->query = GST_DEBUG_FUNCPTR(gst_motioncache_gen_query);
}

} // namespace mc::gst
