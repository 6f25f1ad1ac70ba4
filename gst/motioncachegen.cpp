// SPDX-License-Identifier: LGPL-2.1-or-later
/**
 * SECTION:element-motioncachegen
 * @title: motioncachegen
 *
 * Generates a video from a text prompt, with an autoregressive video diffusion model (SkyReels-V2 Diffusion
 * Forcing). Without further settings it uses a small demo model that comes with the plugin.
 *
 * The element is not live and not seekable. It produces exactly #GstMotionCacheGen:num-frames frames and then
 * ends the stream; from READY to PAUSED it starts again with the first one. The frames of a chunk are pushed as
 * soon as the chunk is denoised, long before the whole video is done. Generating is usually slower than real
 * time: set `sync=false` on a video sink, or record to a file first.
 *
 * A muxer such as mp4mux has to see the end of the stream: with gst-launch-1.0 use `-e`, so that Ctrl-C ends
 * the file properly.
 *
 * ## Example launch line
 * |[
 * gst-launch-1.0 -e motioncachegen prompt="a white boat moving left on the sea" ! x264enc ! mp4mux ! filesink location=out.mp4
 * ]|
 *
 * ## Caps
 *
 * Size and frame rate are the model's own where downstream accepts them, so that videoscale, videorate and the
 * like do the converting. Where it does not, as with a caps filter `video/x-raw,width=160,height=96` directly
 * downstream, the closest accepted values are used; if only the width is fixed, the height follows in proportion.
 * Width and height are multiples of 16. The pixel format (I420, NV12, RGB) is the one that downstream prefers.
 *
 * Size and rate are fixed once frames are produced; the pixel format may be renegotiated at any time.
 *
 * ## Messages
 *
 * While the model is loaded, PROGRESS messages with the code `loading` are posted; the last one (COMPLETE,
 * CANCELED or ERROR) comes before the first buffer. The model stays loaded until the element goes to NULL,
 * unless model-path, device, precision or threads change.
 *
 * Messages, `notify::seed-used` and the engine's log lines are delivered in order, from a thread that the element does
 * not wait for: handlers may do anything, including stopping the pipeline. Everything that concerns a chunk is delivered
 * before its first frame, unless a handler takes longer than a second.
 *
 * For each chunk an element message `motioncache-chunk` is posted when it leaves the sampler, with the fields
 *
 * * #gint `index`: from 0
 * * #gint64 `first-frame`, #gint `frames`: index of its first frame in the video, and the number of its frames
 * * #gint64 `forwards`, `forwards-total`: passes through the transformer, so far and in the whole video
 *
 * ## Properties
 *
 * Settings are read when the element goes from READY to PAUSED. A property that is changed later takes effect at the next
 * start; a WARNING message says so, once per property.
 *
 * ## Environment
 *
 * * `MOTIONCACHE_MODEL`: folder of the model to use when model-path is not set
 * * `MOTIONCACHE_ENGINE_DIR`: folders to search for libmotioncache.so, separated by colons
 * * `MOTIONCACHE_ENGINE`: `testpattern` produces a test pattern instead of generating, with a warning on the bus
 *
 * Since: 0.1
 */
#include "gst/motioncachegen.h"

#include <exception>
#include <optional>
#include <set>

#include "engine/request/field.h"
#include "gst/caps_clash.h"
#include "gst/debug.h"
#include "gst/fault.h"
#include "gst/generator.h"
#include "gst/outbox.h"
#include "gst/settings.h"
#include "gst/video_caps.h"

GST_DEBUG_CATEGORY(motioncachegen_debug);
GST_DEBUG_CATEGORY(motioncache_engine_debug);
#define GST_CAT_DEFAULT motioncachegen_debug

using namespace mc::gst;

namespace {

struct State {
    explicit State(GstMotionCacheGen* self);

    // OBJECT_LOCK
    mc::Fields settings;
    gint64 seed_used = -1;
    std::optional<ModelSizes> sizes; // from start to stop
    std::optional<Picture> picture;  // from the first set_caps to stop
    int num_frames = 0;              // with sizes
    bool started = false;            // from start to stop, which run with a copy of the settings
    std::set<guint> told_later;      // settings changed meanwhile, each warned of already

    GstVideoInfo info{}; // STREAM_LOCK
    Outbox outbox;
    Generator generator;
};

class ObjectLock {
  public:
    explicit ObjectLock(gpointer object) : object_(object) { GST_OBJECT_LOCK(object_); }
    ~ObjectLock() { GST_OBJECT_UNLOCK(object_); }
    ObjectLock(const ObjectLock&) = delete;

  private:
    gpointer object_;
};

} // namespace

struct _GstMotionCacheGen {
    GstPushSrc parent;
    State* state; // GObject only zero-fills its instances: C++ members need a constructor
};

#define gst_motioncache_gen_parent_class parent_class
G_DEFINE_TYPE(GstMotionCacheGen, gst_motioncache_gen, GST_TYPE_PUSH_SRC)
GST_ELEMENT_REGISTER_DEFINE(motioncachegen, "motioncachegen", GST_RANK_NONE, GST_TYPE_MOTIONCACHE_GEN)

static GstStaticPadTemplate src_template =
    GST_STATIC_PAD_TEMPLATE("src", GST_PAD_SRC, GST_PAD_ALWAYS, GST_STATIC_CAPS(MOTIONCACHE_CAPS));

State::State(GstMotionCacheGen* self)
    : outbox(GST_ELEMENT(self),
             [self](GstMessage* message) {
                 GST_ELEMENT_CLASS(gst_motioncache_gen_parent_class)->post_message(GST_ELEMENT(self), message);
             }),
      generator(GST_ELEMENT(self), outbox, [self](gint64 seed) {
          {
              ObjectLock lock(self);
              self->state->seed_used = seed;
          }
          self->state->outbox.notify("seed-used");
      }) {
}

static State& state_of(gpointer self) {
    return *GST_MOTIONCACHE_GEN(self)->state;
}

// ---- object ----

static void gst_motioncache_gen_set_property(GObject* object, guint id, const GValue* value, GParamSpec* spec) {
    State& state = state_of(object);
    {
        ObjectLock lock(object);
        GValue before = G_VALUE_INIT, after = G_VALUE_INIT;
        g_value_init(&before, spec->value_type);
        g_value_init(&after, spec->value_type);
        get_setting(state.settings, id, &before);
        set_setting(state.settings, id, value);
        get_setting(state.settings, id, &after);
        const bool changed = g_param_values_cmp(spec, &before, &after) != 0;
        g_value_unset(&before);
        g_value_unset(&after);
        if (!changed || !state.started || !state.told_later.insert(id).second) return;
    }
    GST_ELEMENT_WARNING(
        object, RESOURCE, SETTINGS,
        ("%s was changed while a video is being made, which continues with the old value: the new one takes effect at the "
         "next start; set the element to READY and to PLAYING again.",
         spec->name),
        (nullptr));
}

static void gst_motioncache_gen_get_property(GObject* object, guint id, GValue* value, GParamSpec* spec) {
    if (id == PROPERTY_STATS) { // takes the generator's own lock
        g_value_take_boxed(value, structure_of(state_of(object).generator.stats()));
        return;
    }
    ObjectLock lock(object);
    if (id == PROPERTY_SEED_USED)
        g_value_set_int64(value, state_of(object).seed_used);
    else
        get_setting(state_of(object).settings, id, value);
}

static void gst_motioncache_gen_finalize(GObject* object) {
    delete GST_MOTIONCACHE_GEN(object)->state;
    G_OBJECT_CLASS(parent_class)->finalize(object);
}

// ---- element ----

// The base class's error when an element refuses caps that it had offered to accept.
static bool is_refusal(GstMessage* message) {
    const GstStructure* details = nullptr;
    gst_message_parse_error_details(message, &details);
    int flow = GST_FLOW_OK;
    return details && gst_structure_get_int(details, "flow-return", &flow) && flow == GST_FLOW_NOT_NEGOTIATED;
}

static void post_refusal(GstElement* element) {
    GstCaps* caps = gst_pad_get_current_caps(GST_BASE_SRC_PAD(element));
    const std::string text = refusal_of(caps);
    GST_ELEMENT_ERROR(element, CORE, NEGOTIATION, ("%s", text.c_str()), ("refused: %" GST_PTR_FORMAT, caps));
    if (caps) gst_caps_unref(caps);
}

// Messages of the element and its base class; others, STREAM_STATUS above all, must be posted by the calling thread.
static constexpr auto SAID = GstMessageType(GST_MESSAGE_ERROR | GST_MESSAGE_WARNING | GST_MESSAGE_INFO);

static gboolean gst_motioncache_gen_post_message(GstElement* element, GstMessage* message) {
    if (!(GST_MESSAGE_TYPE(message) & SAID))
        return GST_ELEMENT_CLASS(parent_class)->post_message(element, message);
    Outbox& outbox = state_of(element).outbox;
    const bool error = GST_MESSAGE_TYPE(message) == GST_MESSAGE_ERROR;
    if (error && !outbox.failed() && is_refusal(message)) post_refusal(element);
    outbox.post(message);
    // The error must reach the bus before its consequences: a failed state change, an EOS event.
    if (error) outbox.await();
    return TRUE;
}

static GstStateChangeReturn gst_motioncache_gen_change_state(GstElement* element, GstStateChange transition) {
    State& state = state_of(element);
    if (transition == GST_STATE_CHANGE_READY_TO_PAUSED) state.outbox.open();
    GstStateChangeReturn result = GST_ELEMENT_CLASS(parent_class)->change_state(element, transition);
    if (transition == GST_STATE_CHANGE_READY_TO_NULL) state.generator.drop_model();
    return result;
}

// After EOS from the application nothing is pushed any more. Loading ends too: gst-launch waits for its PROGRESS
// before it lets EOS through to the sinks.
static gboolean gst_motioncache_gen_send_event(GstElement* element, GstEvent* event) {
    if (GST_EVENT_TYPE(event) == GST_EVENT_EOS) {
        state_of(element).generator.end_early();
        // After an error the streaming thread ends the stream by itself. It may be doing so, and the base class would wait
        // for it with the lock in hand that the sinks need to let EOS through.
        if (state_of(element).outbox.failed()) {
            gst_event_unref(event);
            return TRUE;
        }
    }
    if (GST_EVENT_TYPE(event) == GST_EVENT_SEEK) { // the base class would flush first and ask later
        gst_event_unref(event);
        return FALSE;
    }
    return GST_ELEMENT_CLASS(parent_class)->send_event(element, event);
}

// ---- start and stop ----

static void check_texts(mc::Fields& values) {
    for (const mc::Field& field : mc::fields())
        if (const auto* text = std::get_if<mc::TextField>(&field.type); text && text->at(values)) {
            const std::string& value = *text->at(values);
            if (!g_utf8_validate(value.data(), gssize(value.size()), nullptr))
                throw mc::Error(MC_ERROR_SETTINGS,
                                std::string(field.name) + " is not valid UTF-8: give the text in UTF-8 encoding.");
        }
}

// The headers of the weight files tell more than the JSON files. Errors in them are left to the worker, which checks for
// contradicting settings first.
static ModelSizes sizes_of_model(const std::string& path) {
    const auto outlines = mc::model::outlines(path);
    try {
        return sizes_of(*mc::model::ModelFolder::open(path));
    } catch (const mc::Error&) {
        return sizes_of(outlines.front());
    }
}

static void begin(GstMotionCacheGen* self) {
    State& state = state_of(self);
    Job job;
    {
        ObjectLock lock(self);
        job.settings = state.settings;
        state.started = true;
        state.told_later.clear();
    }
    mc::Fields& s = job.settings;
    if (s.prompt.value_or("").find_first_not_of(" \t\r\n") == std::string::npos)
        throw mc::Error(MC_ERROR_SETTINGS,
                        "No prompt is given: set prompt=\"...\" to what the video should show.");
    check_texts(s);
    mc::check_ranges(s);
    job.engine = wanted_engine();
    if (!s.model.path) s.model.path = default_model_path();
    const ModelSizes sizes = sizes_of_model(*s.model.path);
    if (!s.num_frames) s.num_frames = sizes.num_frames;
    {
        ObjectLock lock(self);
        state.sizes = sizes;
        state.num_frames = *s.num_frames;
    }
    if (job.engine == Engine::TESTPATTERN)
        GST_ELEMENT_WARNING(
            self, LIBRARY, SETTINGS,
            ("This is a test pattern, not a generated video: unset MOTIONCACHE_ENGINE to generate."),
            (nullptr));
    state.generator.start(std::move(job));
}

static gboolean gst_motioncache_gen_start(GstBaseSrc* src) {
    try {
        begin(GST_MOTIONCACHE_GEN(src));
        return TRUE;
    } catch (const mc::Error& e) {
        gst_element_post_message(GST_ELEMENT(src),
                                 message_of(GST_ELEMENT(src), fault_of(e.status, e.what(), e.detail)));
    } catch (const std::exception& e) {
        gst_element_post_message(
            GST_ELEMENT(src),
            message_of(GST_ELEMENT(src), fault_of(MC_ERROR_INTERNAL,
                                                  "motioncachegen cannot start; please report it.", e.what())));
    }
    ObjectLock lock(src);
    state_of(src).started = false;
    return FALSE;
}

static gboolean gst_motioncache_gen_stop(GstBaseSrc* src) {
    State& state = state_of(src);
    state.generator.stop();
    ObjectLock lock(src);
    state.sizes.reset();
    state.picture.reset();
    state.started = false;
    return TRUE;
}

static gboolean gst_motioncache_gen_unlock(GstBaseSrc* src) {
    state_of(src).generator.set_flushing(true);
    return TRUE;
}

static gboolean gst_motioncache_gen_unlock_stop(GstBaseSrc* src) {
    state_of(src).generator.set_flushing(false);
    return TRUE;
}

// ---- caps ----

// Before start() any caps may be linked, so that negotiation can report what clashes and what would fit;
// gst_parse_launch would only report that the element "can't handle caps".
static GstCaps* gst_motioncache_gen_get_caps(GstBaseSrc* src, GstCaps* filter) {
    GstCaps* wide = gst_pad_get_pad_template_caps(GST_BASE_SRC_PAD(src));
    GstCaps* caps;
    {
        ObjectLock lock(src);
        const State& state = state_of(src);
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

static Picture preferred_of(GstMotionCacheGen* self) {
    ObjectLock lock(self);
    return state_of(self).sizes->preferred;
}

static void explain_disagreement(GstBaseSrc* src, const GstCaps* theirs, const GstCaps* ours) {
    State& state = state_of(src);
    state.generator.await_application();
    if (GST_PAD_IS_FLUSHING(GST_BASE_SRC_PAD(src))) return;
    std::optional<Picture> made;
    ModelSizes sizes;
    {
        ObjectLock lock(src);
        made = state.picture;
        sizes = *state.sizes;
    }
    const std::string text =
        made ? clash_with_made(theirs, ours, *made) : clash_with_model(theirs, ours, sizes);
    gchar* detail = gst_caps_to_string(theirs);
    GST_ELEMENT_ERROR(src, CORE, NEGOTIATION, ("%s", text.c_str()), ("the next element accepts %s", detail));
    g_free(detail);
}

// As the base class does, but choosing among everything that downstream accepts, in downstream's order: a filter in
// the query would impose our order instead.
static gboolean gst_motioncache_gen_negotiate(GstBaseSrc* src) {
    GstPad* pad = GST_BASE_SRC_PAD(src);
    GstCaps* ours = gst_pad_query_caps(pad, nullptr);
    GstCaps* theirs = gst_pad_peer_query_caps(pad, nullptr);
    GST_DEBUG_OBJECT(src, "the next element accepts %" GST_PTR_FORMAT, theirs);
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
    const Picture picture{info.width, info.height, info.fps_n, info.fps_d};
    {
        ObjectLock lock(src);
        if (state.picture && *state.picture != picture) return FALSE;
        state.picture = picture;
        src->segment.duration = gst_util_uint64_scale(state.num_frames, GST_SECOND * info.fps_d, info.fps_n);
    }
    state.info = info;
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
    if (!pool) pool = gst_video_buffer_pool_new();

    GstStructure* config = gst_buffer_pool_get_config(pool);
    gst_buffer_pool_config_set_params(config, caps, size, least, most);
    if (gst_query_find_allocation_meta(query, GST_VIDEO_META_API_TYPE, nullptr))
        gst_buffer_pool_config_add_option(config, GST_BUFFER_POOL_OPTION_VIDEO_META);
    gst_buffer_pool_set_config(pool, config);

    if (offered)
        gst_query_set_nth_allocation_pool(query, 0, pool, size, least, most);
    else
        gst_query_add_allocation_pool(query, pool, size, least, most);
    gst_object_unref(pool);
    return GST_BASE_SRC_CLASS(parent_class)->decide_allocation(src, query);
}

static gboolean gst_motioncache_gen_query(GstBaseSrc* src, GstQuery* query) {
    switch (GST_QUERY_TYPE(query)) {
    case GST_QUERY_DURATION: {
        GstFormat format;
        gst_query_parse_duration(query, &format, nullptr);
        ObjectLock lock(src);
        const State& state = state_of(src);
        if (!state.sizes) return FALSE;
        if (format == GST_FORMAT_DEFAULT) {
            gst_query_set_duration(query, format, state.num_frames);
            return TRUE;
        }
        if (format != GST_FORMAT_TIME) return FALSE;
        const Picture& p = state.picture ? *state.picture : state.sizes->preferred;
        gst_query_set_duration(
            query, format,
            gst_util_uint64_scale(state.num_frames, GST_SECOND * p.frame_rate_d, p.frame_rate_n));
        return TRUE;
    }
    case GST_QUERY_SCHEDULING:
        gst_query_set_scheduling(
            query, GstSchedulingFlags(GST_SCHEDULING_FLAG_SEQUENTIAL | GST_SCHEDULING_FLAG_BANDWIDTH_LIMITED),
            1, -1, 0);
        gst_query_add_scheduling_mode(query, GST_PAD_MODE_PUSH);
        return TRUE;
    default:
        return GST_BASE_SRC_CLASS(parent_class)->query(src, query);
    }
}

// ---- frames ----

static void stamp(GstBuffer* buffer, gint64 frame, const GstVideoInfo& info) {
    auto time = [&](gint64 f) { return gst_util_uint64_scale(f, GST_SECOND * info.fps_d, info.fps_n); };
    GST_BUFFER_PTS(buffer) = time(frame);
    GST_BUFFER_DTS(buffer) = GST_CLOCK_TIME_NONE;
    GST_BUFFER_DURATION(buffer) = time(frame + 1) - time(frame);
    GST_BUFFER_OFFSET(buffer) = frame;
    GST_BUFFER_OFFSET_END(buffer) = frame + 1;
}

static GstFlowReturn gst_motioncache_gen_fill(GstPushSrc* src, GstBuffer* buffer) {
    State& state = state_of(src);
    switch (state.generator.wait()) {
    case Generator::Next::FLUSHING:
        return GST_FLOW_FLUSHING;
    case Generator::Next::END:
        return GST_FLOW_EOS;
    case Generator::Next::FAILED:
        return GST_FLOW_ERROR;
    case Generator::Next::FRAME:
        break;
    }
    GstVideoFrame frame;
    if (!gst_video_frame_map(&frame, &state.info, buffer, GST_MAP_WRITE)) {
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
    state.generator.write(pixel_format_of(state.info), planes, strides);
    gst_video_frame_unmap(&frame);
    stamp(buffer, state.generator.frame_index(), state.info);
    GST_LOG_OBJECT(src, "frame %" G_GINT64_FORMAT, state.generator.frame_index());
    state.generator.advance();
    return GST_FLOW_OK;
}

// ---- class ----

static void gst_motioncache_gen_class_init(GstMotionCacheGenClass* klass) {
    auto* object = G_OBJECT_CLASS(klass);
    auto* element = GST_ELEMENT_CLASS(klass);
    auto* base = GST_BASE_SRC_CLASS(klass);

    GST_DEBUG_CATEGORY_INIT(motioncachegen_debug, "motioncachegen", 0, "video from a prompt");
    GST_DEBUG_CATEGORY_INIT(motioncache_engine_debug, "motioncache-engine", 0,
                            "log of the MotionCache engine");

    object->set_property = GST_DEBUG_FUNCPTR(gst_motioncache_gen_set_property);
    object->get_property = GST_DEBUG_FUNCPTR(gst_motioncache_gen_get_property);
    object->finalize = GST_DEBUG_FUNCPTR(gst_motioncache_gen_finalize);
    install_settings(object);

    element->post_message = GST_DEBUG_FUNCPTR(gst_motioncache_gen_post_message);
    element->change_state = GST_DEBUG_FUNCPTR(gst_motioncache_gen_change_state);
    element->send_event = GST_DEBUG_FUNCPTR(gst_motioncache_gen_send_event);
    gst_element_class_set_static_metadata(
        element, "Video from a prompt", "Source/Video",
        "Generates video from a text prompt with an autoregressive diffusion model", "The motioncachegen authors");
    gst_element_class_add_static_pad_template(element, &src_template);

    base->start = GST_DEBUG_FUNCPTR(gst_motioncache_gen_start);
    base->stop = GST_DEBUG_FUNCPTR(gst_motioncache_gen_stop);
    base->unlock = GST_DEBUG_FUNCPTR(gst_motioncache_gen_unlock);
    base->unlock_stop = GST_DEBUG_FUNCPTR(gst_motioncache_gen_unlock_stop);
    base->get_caps = GST_DEBUG_FUNCPTR(gst_motioncache_gen_get_caps);
    base->negotiate = GST_DEBUG_FUNCPTR(gst_motioncache_gen_negotiate);
    base->set_caps = GST_DEBUG_FUNCPTR(gst_motioncache_gen_set_caps);
    base->decide_allocation = GST_DEBUG_FUNCPTR(gst_motioncache_gen_decide_allocation);
    base->query = GST_DEBUG_FUNCPTR(gst_motioncache_gen_query);
    GST_PUSH_SRC_CLASS(klass)->fill = GST_DEBUG_FUNCPTR(gst_motioncache_gen_fill);
}

static void gst_motioncache_gen_init(GstMotionCacheGen* self) {
    self->state = new State(self);
    gst_base_src_set_format(GST_BASE_SRC(self), GST_FORMAT_TIME);
}
