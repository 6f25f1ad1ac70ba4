// SPDX-License-Identifier: LGPL-2.1-or-later
// Prompts that change: the action signals, settings that are changed while a video is made, and the message and tags
// that go before a frame that was made with other settings than the one before it.
#include "gst/debug.h"
#include "gst/element.h"
#include "gst/fault.h"
#include "gst/settings.h"

#define GST_CAT_DEFAULT motioncachegen_debug

namespace mc::gst {
namespace {

void warn(GstElement* element, const mc::Error& e) {
    gst_element_post_message(element, message_of(element, fault_of(e.status, e.what(), e.detail), GST_MESSAGE_WARNING));
}

// False, with a warning on the bus, where the change is refused.
bool ask(GstElement* element, const Update& update) {
    const Fields& change = update.changed;
    try {
        for (const auto* text : {&change.prompt, &change.negative_prompt})
            if (*text && !g_utf8_validate((*text)->data(), gssize((*text)->size()), nullptr))
                throw Error(MC_ERROR_SETTINGS, "The new prompt is not valid UTF-8: give the text in UTF-8 encoding.");
        if (change.prompt && change.prompt->find_first_not_of(" \t\r\n") == std::string::npos)
            throw Error(MC_ERROR_SETTINGS, "The new prompt is empty: give a sentence that describes the video.");
        state_of(element).generator.update(update);
        return true;
    } catch (const Error& e) {
        warn(element, e);
    }
    return false;
}

gboolean gst_motioncache_gen_queue_prompt(GstElement* element, const gchar* prompt, gint frames, gpointer) {
    if (frames < 0) {
        warn(element, Error(MC_ERROR_SETTINGS, "A prompt cannot be queued for " + std::to_string(frames) +
                                                   " frames: give 1 or more, or 0 for as long as no other is queued."));
        return FALSE;
    }
    Update update;
    update.changed.prompt = prompt ? prompt : "";
    update.frames = frames;
    return ask(element, update);
}

void gst_motioncache_gen_clear_prompts(GstElement* element, gpointer) {
    state_of(element).generator.clear_queued();
}

void send_tags(GstElement* element, const MadeWith& with, const CacheFields& cache) {
    State& state = state_of(element);
    Fields values = state.generator.job().settings;
    {
        ObjectLock lock(element);
        values.seed = state.seed_used;
    }
    if (with.update) {
        values.guidance_scale = with.guidance_scale;
        values.cache = cache;
        if (with.cache_threshold > 0) values.cache.threshold = with.cache_threshold;
        if (!with.negative_prompt.empty()) values.negative_prompt = with.negative_prompt;
    }
    GstTagList* tags = gst_tag_list_new(GST_TAG_TITLE, with.prompt.c_str(), GST_TAG_COMMENT,
                                        text_of(values).c_str(), nullptr);
    gst_tag_list_set_scope(tags, GST_TAG_SCOPE_GLOBAL);
    // The base class sends it behind the segment and before the frame.
    GST_ELEMENT_CLASS(base_class())->send_event(element, gst_event_new_tag(tags));
}

} // namespace

bool change_while_playing(GstElement* element, guint id) {
    std::optional<Update> change;
    double most = 0;
    {
        ObjectLock lock(element);
        change = change_of(state_of(element).settings, id);
        most = state_of(element).stream.qos_cache_max;
    }
    if (change) ask(element, *change);
    if (!is_qos_cache_max(id)) return change.has_value();
    try {
        state_of(element).generator.limit_threshold(most);
    } catch (const Error& e) {
        warn(element, e);
    }
    return true;
}

void tell_settings(GstElement* element, GstBuffer* buffer) {
    State& state = state_of(element);
    if (state.told_update == state.generator.update()) return;
    const MadeWith with = state.generator.made_with();
    const CacheFields cache = state.generator.cache_asked();
    // The clock may change the threshold often: no reason to write titles.
    const bool by_clock = state.told_update >= 0 && state.generator.job().qos_cache &&
                          with.prompt == state.told.prompt &&
                          with.negative_prompt == state.told.negative_prompt &&
                          with.guidance_scale == state.told.guidance_scale && cache == state.told_cache;
    state.told_update = with.update;
    state.told = with;
    state.told_cache = cache;
    state.outbox.post(gst_message_new_element(
        GST_OBJECT(element),
        gst_structure_new("motioncache-prompt", "prompt", G_TYPE_STRING, with.prompt.c_str(),
                          "negative-prompt", G_TYPE_STRING, with.negative_prompt.c_str(), "guidance-scale",
                          G_TYPE_DOUBLE, with.guidance_scale, "cache", G_TYPE_STRING, name_of(with.cache),
                          "cache-threshold", G_TYPE_DOUBLE, with.cache_threshold, "pts", G_TYPE_UINT64,
                          GST_BUFFER_PTS(buffer), "frame", G_TYPE_INT64, state.generator.frame_index(), "id",
                          G_TYPE_INT64, with.update, nullptr)));
    bool tags;
    {
        ObjectLock lock(element);
        tags = state.stream.embed_metadata;
    }
    if (tags && !by_clock) send_tags(element, with, cache);
    state.outbox.await();
}

void install_prompts(GstElementClass* klass) {
    const GType type = G_TYPE_FROM_CLASS(klass);
    const auto flags = GSignalFlags(G_SIGNAL_RUN_LAST | G_SIGNAL_ACTION);
    /**
     * GstMotionCacheGen::queue-prompt:
     * @prompt: what the video shows
     * @frames: for how many frames, before the prompt that is queued next; 0: until there is one
     *
     * The prompt begins when those queued before it have had their time, or if there are none, with the next chunk that
     * starts. May be emitted in any state; what is queued while no video is made waits for the next start.
     *
     * Returns: %FALSE, with a WARNING on the bus, for a prompt that is refused
     */
    g_signal_new_class_handler("queue-prompt", type, flags, G_CALLBACK(gst_motioncache_gen_queue_prompt),
                               nullptr, nullptr, nullptr, G_TYPE_BOOLEAN, 2, G_TYPE_STRING, G_TYPE_INT);
    /**
     * GstMotionCacheGen::clear-prompts:
     *
     * Drops what is queued and has not begun, prompts of prompts-file too.
     */
    g_signal_new_class_handler("clear-prompts", type, flags, G_CALLBACK(gst_motioncache_gen_clear_prompts),
                               nullptr, nullptr, nullptr, G_TYPE_NONE, 0);
}

} // namespace mc::gst
