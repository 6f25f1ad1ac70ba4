// SPDX-License-Identifier: LGPL-2.1-or-later
#include "gst/stream_settings.h"

namespace mc::gst {
namespace {

constexpr auto FLAGS = GParamFlags(G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS | GST_PARAM_MUTABLE_READY);
guint first = 0; // id of the first row

GType underrun_type() {
    static const GType type = [] {
        static const GEnumValue values[] = {
            {int(Underrun::WAIT),
             "Nothing is sent until the chunk is there; its frames then carry the time at which they leave",
             "wait"},
            {int(Underrun::REPEAT), "The last frame is sent again, at the rate of the stream", "repeat"},
            {int(Underrun::SLOW), "Frames are shown longer, so that the next chunk comes in time", "slow"},
            {0, nullptr, nullptr}};
        const GType made = g_enum_register_static("GstMotionCacheUnderrun", values);
        gst_type_mark_as_plugin_api(made, GST_PLUGIN_API_FLAG_IGNORE_ENUM_MEMBERS);
        return made;
    }();
    return type;
}

GType keep_model_type() {
    static const GType type = [] {
        static const GEnumValue values[] = {
            {int(KeepModel::NEVER), "Freed when the element is stopped, from PAUSED to READY", "never"},
            {int(KeepModel::READY), "Freed when the element goes from READY to NULL", "ready"},
            {int(KeepModel::PROCESS), "Kept when the element is gone, for the next one", "process"},
            {0, nullptr, nullptr}};
        const GType made = g_enum_register_static("GstMotionCacheKeepModel", values);
        gst_type_mark_as_plugin_api(made, GST_PLUGIN_API_FLAG_IGNORE_ENUM_MEMBERS);
        return made;
    }();
    return type;
}

// One property: its spec, and the member that holds it. gboolean and int are the same type.
struct PropertyMember {
    GParamSpec* (*spec)();
    int StreamSettings::*number = nullptr;
    double StreamSettings::*real = nullptr;
    std::string StreamSettings::*text = nullptr; // empty: NULL
};

const StreamSettings DEFAULTS;

const PropertyMember rows[] = {
    {[] {
         return g_param_spec_boolean(
             "is-live", "Live",
             "Act as a live source: frames carry the running time at which they are due and leave at that time, "
             "nothing leaves while paused, and the latency is reported. EOS ends it at once: finished chunks that are not "
             "due yet are left out; without is-live they are still sent.",
             DEFAULTS.live, FLAGS);
     },
     &StreamSettings::live},
    {[] {
         return g_param_spec_int(
             "queue-chunks", "Chunks in the queue",
             "Number of finished chunks that may wait to be sent; generation pauses while the queue is full.",
             1, 1000, DEFAULTS.queue_chunks, FLAGS);
     },
     &StreamSettings::queue_chunks},
    {[] {
         return g_param_spec_enum("underrun", "Underrun",
                                  "With is-live: what happens when a chunk is not finished in time.", underrun_type(),
                                  DEFAULTS.underrun, FLAGS);
     },
     &StreamSettings::underrun},
    {[] {
         return g_param_spec_int(
             "latency", "Latency",
             "With is-live: how late a frame may be, in milliseconds. It is reported to the pipeline, "
             "whose sinks wait that long. -1: as long as a chunk takes to generate, as measured.",
             -1, 3600000, DEFAULTS.latency, FLAGS);
     },
     &StreamSettings::latency},
    {[] {
         return g_param_spec_boolean(
             "qos-cache", "Cache follows the clock",
             "Raise the cache threshold while chunks take longer to generate than they last, up to "
             "qos-cache-max, and lower it again, down to cache-threshold or else the preset's, "
             "when there is time. An element message motioncache-qos tells of each change.",
             DEFAULTS.qos_cache, FLAGS);
     },
     &StreamSettings::qos_cache},
    {[] {
         return g_param_spec_double(
             "qos-cache-max", "Highest threshold of qos-cache",
             "With qos-cache: the highest cache threshold. 0: four times cache-threshold, or "
             "four times the preset's. A warning tells when not even this one is enough.",
             0, 1000000, DEFAULTS.qos_cache_max,
             GParamFlags(G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS | GST_PARAM_MUTABLE_PLAYING));
     },
     nullptr, &StreamSettings::qos_cache_max},
    {[] {
         return g_param_spec_enum(
             "keep-model", "Keep the model",
             "How long the model stays in memory. Elements of a process that use the same model with the "
             "same device, precisions and threads share it, and it stays as long as one of them needs it. "
             "What is kept for the process is freed when another model is loaded and no element uses it.",
             keep_model_type(), DEFAULTS.keep_model, FLAGS);
     },
     &StreamSettings::keep_model},
    {[] {
         return g_param_spec_boolean(
             "embed-metadata", "Embed metadata",
             "Send tags with the prompt (title), and the settings and the seed (comment), which "
             "muxers write into the file; anew with every prompt.",
             DEFAULTS.embed_metadata, FLAGS);
     },
     &StreamSettings::embed_metadata},
    {[] {
         return g_param_spec_string(
             "prompts-file", "File of prompts",
             "Text file with one prompt per line; they are shown one after the other, instead of what "
             "prompt says. A line may begin with how long its prompt stays, \"8s:\" (seconds) or "
             "\"48f:\" (frames), else it stays 8 seconds; the last one stays to the end. Lines that "
             "begin with # are skipped.",
             nullptr, FLAGS);
     },
     nullptr, nullptr, &StreamSettings::prompts_file},
};

const PropertyMember* row_of(guint id) {
    return first && id >= first && id < first + G_N_ELEMENTS(rows) ? &rows[id - first] : nullptr;
}

} // namespace

void install_stream_settings(GObjectClass* klass, guint first_id) {
    first = first_id;
    for (guint i = 0; i < G_N_ELEMENTS(rows); i++) g_object_class_install_property(klass, first + i, rows[i].spec());
}

bool set_stream_setting(StreamSettings& settings, guint id, const GValue* value) {
    const PropertyMember* row = row_of(id);
    if (!row) return false;
    if (row->text) {
        const char* text = g_value_get_string(value);
        settings.*row->text = text ? text : "";
    } else if (row->real)
        settings.*row->real = g_value_get_double(value);
    else if (G_VALUE_HOLDS_BOOLEAN(value))
        settings.*row->number = g_value_get_boolean(value);
    else if (G_VALUE_HOLDS_ENUM(value))
        settings.*row->number = g_value_get_enum(value);
    else
        settings.*row->number = g_value_get_int(value);
    return true;
}

bool is_qos_cache_max(guint id) {
    const auto* row = row_of(id);
    return row && row->real == &StreamSettings::qos_cache_max;
}

bool get_stream_setting(const StreamSettings& settings, guint id, GValue* value) {
    const PropertyMember* row = row_of(id);
    if (!row) return false;
    if (row->text)
        g_value_set_string(value, (settings.*row->text).empty() ? nullptr : (settings.*row->text).c_str());
    else if (row->real)
        g_value_set_double(value, settings.*row->real);
    else if (G_VALUE_HOLDS_BOOLEAN(value))
        g_value_set_boolean(value, settings.*row->number);
    else if (G_VALUE_HOLDS_ENUM(value))
        g_value_set_enum(value, settings.*row->number);
    else
        g_value_set_int(value, settings.*row->number);
    return true;
}

} // namespace mc::gst
