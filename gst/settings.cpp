// SPDX-License-Identifier: LGPL-2.1-or-later
#include "gst/settings.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <map>
#include <vector>

#include "engine/request/field.h"
#include "gst/stream_settings.h"

namespace mc::gst {
namespace {

constexpr guint FIRST = PROPERTY_STATS + 1;

// In the order of the table, which is that of their ids.
const std::vector<const Field*>& properties() {
    static const std::vector<const Field*> list = [] {
        std::vector<const Field*> with_property;
        for (const Field& field : fields())
            if (field.property) with_property.push_back(&field);
        return with_property;
    }();
    return list;
}

const Field& property(guint id) {
    return *properties()[id - FIRST];
}

// A GType for each choice, as McAttention is GstMotionCacheAttention; "auto" is 0. Types live as long as the process.
GType type_of(const Choice& choice) {
    static std::map<std::string, GType> types;
    GType& type = types[choice.name];
    if (type) return type;
    auto* values = g_new0(GEnumValue, choice.values.size() + 2);
    values[0] = {0, choice.auto_blurb, "auto"};
    for (size_t i = 0; i < choice.values.size(); i++)
        values[i + 1] = {gint(i + 1), choice.values[i].blurb, choice.values[i].name};
    const std::string name = std::string("GstMotionCache") + (choice.c_name + std::strlen("Mc"));
    type = g_enum_register_static(name.c_str(), values);
    gst_type_mark_as_plugin_api(type, GST_PLUGIN_API_FLAG_IGNORE_ENUM_MEMBERS);
    return type;
}

GParamSpec* spec_of(const Field& f) {
    const auto flags = GParamFlags(G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS |
                                   (f.while_playing ? GST_PARAM_MUTABLE_PLAYING : GST_PARAM_MUTABLE_READY));
    return std::visit(
        Overloaded{
            [&](const IntField& t) {
                return g_param_spec_int(f.name, f.nick, f.blurb, std::min({t.least, t.unset, t.none.value_or(t.unset)}),
                                        t.most, t.unset, flags);
            },
            [&](const Int64Field& t) {
                return g_param_spec_int64(f.name, f.nick, f.blurb, std::min(t.least, t.unset), t.most, t.unset,
                                          flags);
            },
            [&](const NumberField& t) {
                const double least = std::min({t.least, t.unset, t.none.value_or(t.unset)});
                return g_param_spec_double(f.name, f.nick, f.blurb, least, t.most, t.unset, flags);
            },
            [&](const FlagField&) { return g_param_spec_boolean(f.name, f.nick, f.blurb, FALSE, flags); },
            [&](const ChoiceField& t) {
                return g_param_spec_enum(f.name, f.nick, f.blurb, type_of(*t.choice), 0, flags);
            },
            [&](const auto& t) { // text
                const bool machine = f.source == Source::FIXED && !t.unset; // depends on where it runs
                return g_param_spec_string(f.name, f.nick, f.blurb, t.unset,
                                           machine ? GParamFlags(flags | GST_PARAM_DOC_SHOW_DEFAULT) : flags);
            },
        },
        f.type);
}

// cache-preset reads "custom" once a setting is given that otherwise comes from the preset.
bool is_custom_preset(const Field& field, const Fields& values) {
    return std::strcmp(field.name, "cache-preset") == 0 &&
           std::any_of(fields().begin(), fields().end(),
                       [&](const Field& f) { return f.source == Source::PRESET && is_set(f, values); });
}

} // namespace

std::string default_model_path() {
    const char* path = std::getenv("MOTIONCACHE_MODEL");
    return path && *path ? path : DEMO_MODEL_DIR;
}

void install_settings(GObjectClass* klass) {
    /**
     * GstMotionCacheGen:seed-used:
     *
     * The seed of the current or the last video: `seed`, or the one drawn when `seed` is -1. Notified when generation
     * starts.
     */
    g_object_class_install_property(
        klass, PROPERTY_SEED_USED,
        g_param_spec_int64(
            "seed-used", "Seed used",
            "Seed of the current or the last video; set seed to it to get the same video again. -1: none yet.",
            -1, G_MAXINT64, -1, GParamFlags(G_PARAM_READABLE | G_PARAM_STATIC_STRINGS)));
    /**
     * GstMotionCacheGen:stats:
     *
     * Work spent so far on the current or the last video. Fields, #gint64 unless noted otherwise:
     *
     * * #gchararray `cache`: the cache in use
     * * `seed`, `frames`, `frames-total`, `forwards`, `forwards-total`; totals are -1 where there is no end
     * * `turns`: each is one chunk in one denoising step and one guidance branch; `turns-whole`, `turns-partial` and
     *   `turns-reused` are those in which all, some and none of the chunk's tokens were computed
     * * `tokens-computed`, `tokens-reused` in these turns; `passes-extra`: passes for keys and values only
     * * #gdouble `seconds-text`, `seconds-transformer`, `seconds-cache` (decisions, motion), `seconds-schedule`
     *   (the solver's steps), `seconds-vae`
     * * `flop-text`, `flop-transformer`, `flop-vae`, counted from the shapes that were run
     * * `bytes-weights`; `bytes-planned`, what the request may need in all; `bytes-keys-values` and `bytes-cache`, part
     *   of bytes-planned
     * * `chunks`: a #GValueArray of structures, one for each of the last 1024 delivered chunks: `first-frame`,
     *   `frames`, and turns and tokens as above
     * * `chunks-queued`; `underruns`, how often a live stream had nothing to send in time; `frames-repeated`
     * * #gdouble `real-time-factor`: seconds of video generated per second, recently; 0 before it is known
     * * #gdouble `cache-threshold`: of the chunk that was made last, 0 where nothing is cached; `qos-load`: with
     *   #GstMotionCacheGen:qos-cache, seconds of generating per second of video, as judged last
     */
    g_object_class_install_property(
        klass, PROPERTY_STATS,
        g_param_spec_boxed("stats", "Statistics",
                           "What was computed and reused so far, in total and per chunk: tokens, seconds, FLOP, bytes; "
                           "a turn is one chunk in one denoising step and one guidance branch. Readable while the "
                           "element runs and afterwards.",
                           GST_TYPE_STRUCTURE, GParamFlags(G_PARAM_READABLE | G_PARAM_STATIC_STRINGS)));
    guint id = FIRST;
    for (const Field* field : properties()) g_object_class_install_property(klass, id++, spec_of(*field));
    install_stream_settings(klass, id);
}

void set_setting(Fields& values, guint id, const GValue* value) {
    const auto given = [](auto& field, auto given, auto unset) {
        if (given == unset)
            field.reset();
        else
            field = given;
    };
    std::visit(Overloaded{
                   [&](const IntField& t) { given(t.at(values), g_value_get_int(value), t.unset); },
                   [&](const Int64Field& t) {
                       given(t.at(values), int64_t(g_value_get_int64(value)), t.unset);
                   },
                   [&](const NumberField& t) { given(t.at(values), g_value_get_double(value), t.unset); },
                   [&](const FlagField& t) { t.at(values) = g_value_get_boolean(value); },
                   [&](const ChoiceField& t) { t.set(values, g_value_get_enum(value) - 1); },
                   [&](const auto& t) {
                       if (const char* text = g_value_get_string(value))
                           t.at(values) = text;
                       else
                           t.at(values).reset();
                   },
               },
               property(id).type);
}

void get_setting(const Fields& values, guint id, GValue* value) {
    Fields copy = values; // `at` serves both ways
    const Field& field = property(id);
    std::visit(Overloaded{
                   [&](const IntField& t) { g_value_set_int(value, t.at(copy).value_or(t.unset)); },
                   [&](const Int64Field& t) { g_value_set_int64(value, t.at(copy).value_or(t.unset)); },
                   [&](const NumberField& t) { g_value_set_double(value, t.at(copy).value_or(t.unset)); },
                   [&](const FlagField& t) { g_value_set_boolean(value, t.at(copy).value_or(false)); },
                   [&](const ChoiceField& t) {
                       const int custom = int(CachePreset::CUSTOM);
                       g_value_set_enum(value, 1 + (is_custom_preset(field, values) ? custom : t.get(values)));
                   },
                   [&](const auto& t) {
                       const auto& text = t.at(copy);
                       if (&text == &copy.model.path && !text)
                           g_value_set_string(value, default_model_path().c_str());
                       else
                           g_value_set_string(value, text ? text->c_str() : t.unset);
                   },
               },
               field.type);
}

std::optional<Update> change_of(const Fields& values, guint id) {
    if (id < FIRST || id - FIRST >= properties().size()) return {};
    const Field& field = property(id);
    if (!field.while_playing) return {};
    const bool set = is_set(field, values), threshold = std::strcmp(field.name, "cache-threshold") == 0;
    Update update;
    if (field.part == Part::CACHE && !(threshold && set)) {
        update.changed.cache = values.cache;
        update.all_of_cache = true;
    } else if (set) {
        copy_field(field, values, update.changed);
    } else {
        return {};
    }
    return update;
}

std::string text_of(const Fields& values) {
    Fields copy = values; // `at` serves both ways
    std::string text;
    for (const Field* field : properties()) {
        if (!is_set(*field, values) || field->source == Source::REQUIRED) continue;
        if (std::holds_alternative<FileField>(field->type)) continue;
        gchar number[G_ASCII_DTOSTR_BUF_SIZE];
        const std::string value = std::visit(
            Overloaded{
                [&](const FlagField& t) -> std::string { return *t.at(copy) ? "true" : "false"; },
                [&](const ChoiceField& t) -> std::string { return t.choice->values[size_t(t.get(values))].name; },
                [&](const NumberField& t) -> std::string {
                    return g_ascii_formatd(number, sizeof number, "%.10g", *t.at(copy));
                },
                [&](const IntField& t) { return std::to_string(*t.at(copy)); },
                [&](const Int64Field& t) { return std::to_string(*t.at(copy)); },
                [&](const auto& t) { return '"' + *t.at(copy) + '"'; },
            },
            field->type);
        text += (text.empty() ? "" : " ") + std::string(field->name) + "=" + value;
    }
    return text;
}

} // namespace mc::gst
