// SPDX-License-Identifier: LGPL-2.1-or-later
/**
 * SECTION:element-motioncachegen
 * @title: motioncachegen
 *
 * Generates a video from a text prompt, with an autoregressive video diffusion model (SkyReels-V2 Diffusion
 * Forcing or MAGI-1). Without further settings it uses a small demo model that comes with the plugin.
 *
 * The element is not seekable. It produces exactly #GstMotionCacheGen:num-frames frames (-1: without end) and then
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
 * ## Live
 *
 * With #GstMotionCacheGen:is-live, frames carry the running time at which they are due, evenly spaced, and leave at
 * that time or at most #GstMotionCacheGen:latency later; sinks wait that long. Generation pauses while
 * #GstMotionCacheGen:queue-chunks finished chunks wait. A chunk that comes too late is an underrun, and
 * #GstMotionCacheGen:underrun says what is done then. Pausing loses no frame; an EOS event ends a live stream at once,
 * and one that is not live after the chunks that are finished.
 *
 * ## Messages
 *
 * While the model is loaded, PROGRESS messages with the code `loading` are posted; the last one (COMPLETE,
 * CANCELED or ERROR) comes before the first buffer. The model stays loaded until the element goes to NULL
 * (#GstMotionCacheGen:keep-model), unless model-path, device, precision, weights-precision, threads or its files
 * change. Elements of a process that use the same model share it. A text encoder that is too large to stay in memory is
 * loaded for each text whose embeddings are not kept on disk, with PROGRESS messages of its own, before the first
 * buffer or later.
 *
 * Messages, `notify::seed-used` and the engine's log lines are delivered in order, from a thread of their own:
 * handlers may do anything, including stopping the pipeline. Everything that concerns a chunk is delivered
 * before its first frame, unless a handler takes longer than a second.
 *
 * For each chunk an element message `motioncache-chunk` is posted when it leaves the sampler, with the fields
 *
 * * #gint `index`: of the chunk, from 0
 * * #gint64 `first-frame`, #gint `frames`: index of its first frame in the video, and the number of its frames
 * * #gint64 `forwards`, `forwards-total`: passes through the transformer, so far and in the whole video
 *
 * While a video is made an element message `motioncache-progress` is posted about four times a second, and once more at
 * its end, with the fields
 *
 * * #gint64 `chunk`, `chunks`: index of the chunk that is finished next, from 0, and number of all chunks
 * * #gint `step`, `steps`: denoising steps of that chunk, taken so far and in all; where attention is not kv, of its
 *   window
 * * #gdouble `fraction`: of the work that is done, 0 to 1
 * * #gdouble `seconds-left`: how long the rest takes, at the rate so far
 *
 * `chunks`, `fraction` and `seconds-left` are -1 where there is no end, `seconds-left` also before it is known.
 *
 * With #GstMotionCacheGen:qos-cache, an element message `motioncache-qos` is posted when the cache's threshold is
 * changed because chunks take longer to generate than they last, or because there is time again. Chunks that start
 * from then on are made with the new one. The fields are
 *
 * * #gdouble `cache-threshold`, `before`: the new one, and the one before
 * * #gdouble `load`: seconds of generating per second of video
 * * #gint64 `frame`: index of the first frame that was not made yet
 *
 * Before the model is loaded an element message `motioncache-plan` tells how much memory model and request will take,
 * with the fields of McPlan in motioncache.h, among them #gchararray `device`, #gboolean `fits`, #gint64 `bytes-total`,
 * `bytes-free`, `bytes-streamed` and #gchararray `would-fit`: where the request does not fit, settings that would.
 *
 * ## URIs
 *
 * `motioncache://?prompt=a%20red%20ball&seed=3` plays in playbin, uridecodebin and whatever else plays URIs. Each pair
 * sets a property, percent-encoded as in every URI (+ is a plus sign); choices are given by name. A URI with a pair
 * that is not known, malformed or out of its range is refused as a whole, with a GST_URI_ERROR that says why.
 * Properties that name files (model-path, image, end-image, prefix-video, prompts-file) cannot be set by a URI, since
 * it may come from a stranger: set them from playbin's signal `source-setup`, and the model in `MOTIONCACHE_MODEL`.
 * Players show each frame at its time; with is-live=true and underrun=repeat a stream keeps going that is generated
 * more slowly than it plays.
 *
 * ## What a frame has cost
 *
 * Each buffer has a #GstCustomMeta named `GstMotionCacheMeta`: the numbers of chunk and frame, how many of the chunk's
 * turns (denoising steps times guidance branches) were computed and reused, and a map of the picture that tells in what
 * share of the turns each token was computed. gst/motioncachemeta.h lists its fields and reads them in C. The element
 * motioncacheoverlay draws the map over the video.
 *
 * ## Properties
 *
 * Settings are read when the element goes from READY to PAUSED. prompt, negative-prompt, guidance-scale,
 * prompt-transition, cache and its settings except cache-reuse may be changed later: they count from the next chunk
 * that starts. So may qos-cache-max. Any other property that is changed while a video is made takes effect at the next
 * start; a WARNING message says so, once per property.
 *
 * ## Prompts that change
 *
 * Set #GstMotionCacheGen:prompt, emit #GstMotionCacheGen::queue-prompt, or name a file of prompts
 * (#GstMotionCacheGen:prompts-file). Before the first frame and before each frame that was made with other settings
 * than the one before it, an element message `motioncache-prompt` is posted, with the fields
 *
 * * #gchararray `prompt`, `negative-prompt`, `cache` (the one in use); #gdouble `guidance-scale`, `cache-threshold`
 *   (0: nothing is cached)
 * * #guint64 `pts`, #gint64 `frame`: of that frame
 * * #gint64 `id`: 0 for the settings at the start, else the number of the change
 *
 * With it come tags: the prompt as title, the settings and the seed as comment (#GstMotionCacheGen:embed-metadata).
 *
 * ## Frames on a GPU
 *
 * Where the model runs on an NVIDIA GPU, `video/x-raw(memory:CUDAMemory)` in NV12 goes to an encoder on the same GPU
 * without a copy to main memory, if the next element lists it first or accepts nothing else: put a caps filter with it
 * before nvh264enc. The element answers queries for the context `gst.cuda.context` with CUDA's primary context; an encoder
 * that already has another one copies. Where libmotioncache-cuda-frames.so, NVIDIA's driver or the GPU is missing, such
 * caps are not offered.
 *
 * ## Environment
 *
 * * `MOTIONCACHE_MODEL`: folder or JSON file of the model to use when model-path is not set
 * * `MOTIONCACHE_ENGINE_DIR`: folders to search for libmotioncache.so, separated by colons
 * * `MOTIONCACHE_CACHE`: folder for what is kept from run to run, embeddings of prompts, instead of
 *   `~/.cache/motioncachegen`
 * * `MOTIONCACHE_TEXT_CACHE`: `never` keeps no embeddings, `always` also those of a small text encoder
 * * `MOTIONCACHE_ENGINE`: `testpattern` produces a test pattern instead of generating, with a warning on the bus
 *
 * Since: 0.1
 */
#include "gst/motioncachegen.h"

#include <exception>

#include "gst/caps_clash.h"
#include "gst/debug.h"
#include "gst/element.h"
#include "gst/fault.h"
#include "gst/frame_meta.h"
#include "gst/settings.h"
#include "gst/stats.h"
#include "gst/uri.h"

GST_DEBUG_CATEGORY(motioncachegen_debug);
GST_DEBUG_CATEGORY(motioncache_engine_debug);
#define GST_CAT_DEFAULT motioncachegen_debug

using namespace mc::gst;

#define gst_motioncache_gen_parent_class parent_class
G_DEFINE_TYPE_WITH_CODE(GstMotionCacheGen, gst_motioncache_gen, GST_TYPE_PUSH_SRC,
                        G_IMPLEMENT_INTERFACE(GST_TYPE_URI_HANDLER, implement_uri_handler))
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
      }),
      gpu(GST_ELEMENT(self)), clock(GST_ELEMENT(self)), pacing(clock, generator, [self] {
          if (gst_base_src_is_live(GST_BASE_SRC(self)))
              self->state->outbox.post(gst_message_new_latency(GST_OBJECT(self)));
      }) {
}

// ---- object ----

static void get(const State& state, guint id, GValue* value) {
    if (!get_stream_setting(state.stream, id, value)) get_setting(state.settings, id, value);
}

static void gst_motioncache_gen_set_property(GObject* object, guint id, const GValue* value, GParamSpec* spec) {
    State& state = state_of(object);
    {
        ObjectLock lock(object);
        GValue before = G_VALUE_INIT, after = G_VALUE_INIT;
        g_value_init(&before, spec->value_type);
        g_value_init(&after, spec->value_type);
        get(state, id, &before);
        const mc::Fields settings = state.settings; // cache-preset may read the same before and after
        if (!set_stream_setting(state.stream, id, value)) set_setting(state.settings, id, value);
        get(state, id, &after);
        const bool changed = g_param_values_cmp(spec, &before, &after) != 0 || settings != state.settings;
        g_value_unset(&before);
        g_value_unset(&after);
        if (!changed || !state.started) return;
    }
    if (change_while_playing(GST_ELEMENT(object), id)) return;
    {
        ObjectLock lock(object);
        if (!state.told_later.insert(id).second) return;
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
        GstStructure* stats = structure_of(state_of(object).generator.stats());
        const Pacing::Counts counts = state_of(object).pacing.counts();
        const Generator::Threshold threshold = state_of(object).generator.threshold();
        gst_structure_set(stats, "chunks-queued", G_TYPE_INT64, counts.queued, "underruns", G_TYPE_INT64,
                          counts.underruns, "frames-repeated", G_TYPE_INT64, counts.repeated,
                          "real-time-factor", G_TYPE_DOUBLE, counts.real_time_factor, "cache-threshold",
                          G_TYPE_DOUBLE, threshold.now, "qos-load", G_TYPE_DOUBLE, threshold.load, nullptr);
        g_value_take_boxed(value, stats);
        return;
    }
    ObjectLock lock(object);
    if (id == PROPERTY_SEED_USED)
        g_value_set_int64(value, state_of(object).seed_used);
    else
        get(state_of(object), id, value);
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
    bool live = false;
    if (transition == GST_STATE_CHANGE_READY_TO_PAUSED) {
        state.outbox.open();
        ObjectLock lock(element);
        live = state.stream.live;
    }
    if (transition == GST_STATE_CHANGE_READY_TO_PAUSED) gst_base_src_set_live(GST_BASE_SRC(element), live);
    if (transition == GST_STATE_CHANGE_PAUSED_TO_PLAYING) state.clock.set_playing(true);
    if (transition == GST_STATE_CHANGE_PLAYING_TO_PAUSED) {
        state.interrupted = true;
        state.clock.set_playing(false);
        state.generator.wake();
    }
    GstStateChangeReturn result = GST_ELEMENT_CLASS(parent_class)->change_state(element, transition);
    if (transition == GST_STATE_CHANGE_READY_TO_NULL) {
        state.generator.drop_model();
        state.gpu.close();
    }
    return result;
}

static bool ends_by_itself(GstElement* element) {
    const bool live = gst_base_src_is_live(GST_BASE_SRC(element));
    ObjectLock lock(element);
    return state_of(element).started && !live;
}

static gboolean gst_motioncache_gen_set_clock(GstElement* element, GstClock* clock) {
    const gboolean result = GST_ELEMENT_CLASS(parent_class)->set_clock(element, clock);
    state_of(element).clock.clock_changed();
    return result;
}

// After EOS from the application the chunks that are finished are still pushed; in a live stream nothing is.
// Loading ends too: gst-launch waits for its PROGRESS before it lets EOS through to the sinks.
static gboolean gst_motioncache_gen_send_event(GstElement* element, GstEvent* event) {
    if (GST_EVENT_TYPE(event) == GST_EVENT_EOS) {
        state_of(element).generator.end_early();
        // The streaming thread ends the stream by itself, as it does after an error. It may be doing so, and the base
        // class would wait for it with the lock in hand that the sinks need to let EOS through.
        if (state_of(element).outbox.failed() || ends_by_itself(element)) {
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

static void begin(GstMotionCacheGen* self) {
    State& state = state_of(self);
    Job job;
    StreamSettings stream;
    {
        ObjectLock lock(self);
        job.settings = state.settings;
        state.device = state.settings.model.device;
        stream = state.stream;
        state.started = true;
        state.told_later.clear();
    }
    mc::Fields& s = job.settings;
    if (!stream.prompts_file.empty()) {
        job.timed_prompts = read_prompts_file(stream.prompts_file);
        s.prompt = job.timed_prompts.front().prompt;
    }
    if (s.prompt.value_or("").find_first_not_of(" \t\r\n") == std::string::npos)
        throw mc::Error(MC_ERROR_SETTINGS,
                        "No prompt is given: set prompt=\"...\" to what the video should show.");
    check_texts(s);
    mc::check_ranges(s);
    job.engine = wanted_engine();
    job.queue_chunks = stream.queue_chunks;
    job.qos_cache = stream.qos_cache;
    job.qos_cache_max = stream.qos_cache_max;
    job.keep_model = KeepModel(stream.keep_model);
    if (!s.model.path) s.model.path = default_model_path();
    const ModelSizes sizes = sizes_of(mc::model::pictures_of(*s.model.path));
    if (!s.num_frames) s.num_frames = sizes.num_frames;
    job.model_rate_n = sizes.preferred.frame_rate_n, job.model_rate_d = sizes.preferred.frame_rate_d;
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
    state.pacing.begin(stream, 4 * s.causal_block_size.value_or(sizes.chunk_latents));
    state.given = false;
    state.told_update = -1;
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
    gst_clear_buffer(&state.last_frame);
    ObjectLock lock(src);
    state.sizes.reset();
    state.picture.reset();
    state.started = false;
    return TRUE;
}

static gboolean gst_motioncache_gen_unlock(GstBaseSrc* src) {
    State& state = state_of(src);
    state.interrupted = true;
    state.clock.set_flushing(true);
    state.generator.set_flushing(true);
    return TRUE;
}

static gboolean gst_motioncache_gen_unlock_stop(GstBaseSrc* src) {
    state_of(src).clock.set_flushing(false);
    state_of(src).generator.set_flushing(false);
    return TRUE;
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
    register_frame_meta();

    element->post_message = GST_DEBUG_FUNCPTR(gst_motioncache_gen_post_message);
    element->change_state = GST_DEBUG_FUNCPTR(gst_motioncache_gen_change_state);
    element->set_clock = GST_DEBUG_FUNCPTR(gst_motioncache_gen_set_clock);
    element->send_event = GST_DEBUG_FUNCPTR(gst_motioncache_gen_send_event);
    gst_element_class_set_static_metadata(
        element, "Video from a prompt", "Source/Video",
        "Generates video from a text prompt with an autoregressive diffusion model", "The motioncachegen authors");
    gst_element_class_add_static_pad_template(element, &src_template);

    base->start = GST_DEBUG_FUNCPTR(gst_motioncache_gen_start);
    base->stop = GST_DEBUG_FUNCPTR(gst_motioncache_gen_stop);
    base->unlock = GST_DEBUG_FUNCPTR(gst_motioncache_gen_unlock);
    base->unlock_stop = GST_DEBUG_FUNCPTR(gst_motioncache_gen_unlock_stop);
    install_negotiation(base);
    install_frames(GST_PUSH_SRC_CLASS(klass));
    install_prompts(element);
}

static void gst_motioncache_gen_init(GstMotionCacheGen* self) {
    self->state = new State(self);
    gst_base_src_set_format(GST_BASE_SRC(self), GST_FORMAT_TIME);
    watch_pushes(GST_BASE_SRC_PAD(self), *self->state);
}
