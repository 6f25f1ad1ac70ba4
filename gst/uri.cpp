// SPDX-License-Identifier: LGPL-2.1-or-later
#include "gst/uri.h"

#include <algorithm>
#include <cmath>

#include "engine/error.h"
#include "engine/request/field.h"
#include "gst/element.h"
#include "gst/settings.h"

namespace mc::gst {
namespace {

constexpr char SCHEME[] = "motioncache";
constexpr size_t LONGEST = 64 << 10; // bytes; prompts of the published models end at 2 KiB

[[noreturn]] void refuse(const std::string& message) {
    throw Error(MC_ERROR_SETTINGS, message);
}

// For a sentence: what somebody else wrote may be long, or no text at all.
std::string quoted(const std::string& text) {
    constexpr size_t SHOWN = 60;
    gchar* valid = g_utf8_make_valid(text.substr(0, SHOWN).c_str(), -1);
    std::string shown = valid;
    g_free(valid);
    for (char& c : shown)
        if (c >= 0 && c < ' ') c = ' ';
    return '"' + shown + (text.size() > SHOWN ? "...\"" : "\"");
}

std::string decoded(const std::string& text) {
    gchar* plain = g_uri_unescape_string(text.c_str(), nullptr); // NULL: not two digits behind a %, or %00
    if (!plain)
        refuse("The URI has " + quoted(text) + ", which is not percent-encoded: write % as %25, and no %00.");
    const std::string result = plain;
    g_free(plain);
    if (!g_utf8_validate(result.data(), gssize(result.size()), nullptr))
        refuse("The URI has " + quoted(text) + ", which is not UTF-8: percent-encode the text's UTF-8 bytes.");
    return result;
}

bool is_ours(const GParamSpec* spec) {
    return spec->owner_type == GST_TYPE_MOTIONCACHE_GEN && spec->flags & G_PARAM_WRITABLE;
}

bool names_a_file(const GParamSpec* spec) {
    const Field* field = find_field(spec->name);
    return field ? std::holds_alternative<FileField>(field->type) : spec->value_type == G_TYPE_STRING;
}

std::string names_of_all(GObject* gen) {
    std::string names;
    guint count = 0;
    GParamSpec** specs = g_object_class_list_properties(G_OBJECT_GET_CLASS(gen), &count);
    for (guint i = 0; i < count; i++)
        if (is_ours(specs[i]) && !names_a_file(specs[i]))
            names += (names.empty() ? "" : ", ") + std::string(specs[i]->name);
    g_free(specs);
    return names;
}

// A value of a property: made and checked before any is set.
struct Setting {
    GParamSpec* spec;
    GValue value = G_VALUE_INIT;
    explicit Setting(GParamSpec* s) : spec(s) { g_value_init(&value, s->value_type); }
    Setting(Setting&& o) noexcept : spec(o.spec), value(std::exchange(o.value, GValue(G_VALUE_INIT))) {}
    ~Setting() {
        if (G_IS_VALUE(&value)) g_value_unset(&value);
    }
};

Setting setting_of(GObject* gen, const std::string& name, const std::string& text) {
    GParamSpec* spec = g_object_class_find_property(G_OBJECT_GET_CLASS(gen), name.c_str());
    if (!spec || spec->name != name || !is_ours(spec))
        refuse("The URI sets " + quoted(name) + ", which no URI can set: take one of " + names_of_all(gen) + ".");
    if (names_a_file(spec))
        refuse("The URI sets " + name +
               ", which names a file, and URIs may come from strangers: set it on the element, in "
               "playbin from the signal source-setup" +
               (name == "model-path" ? ", or in MOTIONCACHE_MODEL." : "."));
    Setting setting(spec);
    if (find_field(name)) {
        Fields values;
        set_from_text(values, name, text);
        get_setting(values, spec->param_id, &setting.value);
        const bool number = !G_VALUE_HOLDS_DOUBLE(&setting.value) || !std::isnan(g_value_get_double(&setting.value));
        // NaN compares as equal to everything.
        if (!number || !g_param_value_defaults(spec, &setting.value)) check_ranges(values);
    } else if (!gst_value_deserialize(&setting.value, text.c_str())) {
        refuse("The URI sets " + name + " to " + quoted(text) +
               ", which it cannot be: " + g_param_spec_get_blurb(spec));
    } else if (g_param_value_validate(spec, &setting.value)) {
        refuse("The URI sets " + name + " to " + quoted(text) +
               ", which is out of its range: " + g_param_spec_get_blurb(spec));
    }
    return setting;
}

void apply(GstElement* gen, const std::string& uri) {
    if (GST_STATE(gen) > GST_STATE_READY || GST_STATE_NEXT(gen) > GST_STATE_READY)
        refuse("The URI cannot be changed while the element plays: set it to READY first.");
    std::vector<Setting> settings;
    for (const auto& [name, text] : parse_uri(uri)) settings.push_back(setting_of(G_OBJECT(gen), name, text));

    State& state = state_of(gen);
    std::set<GParamSpec*> before; // set by the previous URI: they go back to their defaults
    {
        ObjectLock lock(gen);
        before.swap(state.set_by_uri);
        state.uri = uri;
        for (const Setting& s : settings) state.set_by_uri.insert(s.spec);
    }
    for (GParamSpec* spec : before)
        g_object_set_property(G_OBJECT(gen), spec->name, g_param_spec_get_default_value(spec));
    for (const Setting& s : settings) g_object_set_property(G_OBJECT(gen), s.spec->name, &s.value);
}

// ---- interface ----

GstURIType gst_motioncache_gen_uri_get_type(GType) {
    return GST_URI_SRC;
}

const gchar* const* gst_motioncache_gen_uri_get_protocols(GType) {
    static const gchar* const list[] = {SCHEME, nullptr};
    return list;
}

gchar* gst_motioncache_gen_uri_get_uri(GstURIHandler* handler) {
    ObjectLock lock(handler);
    const std::string& uri = state_of(handler).uri;
    return uri.empty() ? nullptr : g_strdup(uri.c_str());
}

gboolean gst_motioncache_gen_uri_set_uri(GstURIHandler* handler, const gchar* uri, GError** error) {
    try {
        apply(GST_ELEMENT(handler), uri);
        return TRUE;
    } catch (const std::exception& e) {
        const bool late = GST_STATE(handler) > GST_STATE_READY;
        g_set_error_literal(error, GST_URI_ERROR, late ? GST_URI_ERROR_BAD_STATE : GST_URI_ERROR_BAD_URI, e.what());
        return FALSE;
    }
}

} // namespace

std::vector<std::pair<std::string, std::string>> parse_uri(const std::string& uri) {
    const std::string form = std::string("write ") + SCHEME + "://?prompt=a%20red%20ball&seed=3, for example.";
    if (uri.size() > LONGEST)
        refuse("The URI is " + std::to_string(uri.size()) + " bytes long and may have " + std::to_string(LONGEST) +
               ": shorten the prompt.");
    const size_t colon = uri.find(':');
    if (g_ascii_strcasecmp(uri.substr(0, colon).c_str(), SCHEME) != 0)
        refuse("The URI " + quoted(uri) + " is not one of motioncachegen: " + form);
    std::string rest = uri.substr(colon + 1);
    if (const size_t hash = rest.find('#'); hash != std::string::npos)
        refuse("The URI has a fragment, " + quoted(rest.substr(hash)) + ": write # in a text as %23.");
    if (rest.starts_with("//")) rest.erase(0, 2);
    if (rest.starts_with("/")) rest.erase(0, 1);
    if (rest.empty()) return {};
    if (rest[0] != '?')
        refuse("The URI names " + quoted(rest.substr(0, rest.find('?'))) +
               ", and there are no hosts and paths here: " + form);
    std::vector<std::pair<std::string, std::string>> pairs;
    for (size_t begin = 1; begin <= rest.size();) {
        const size_t end = std::min(rest.find('&', begin), rest.size());
        const std::string pair = rest.substr(begin, end - begin);
        begin = end + 1;
        if (pair.empty()) continue;
        const size_t equals = pair.find('=');
        if (equals == std::string::npos)
            refuse("The URI has " + quoted(pair) + " without a value: write " + quoted(decoded(pair)) +
                   " and = and the value; write & in a text as %26.");
        const std::string name = decoded(pair.substr(0, equals));
        if (std::any_of(pairs.begin(), pairs.end(), [&](const auto& p) { return p.first == name; }))
            refuse("The URI sets " + quoted(name) + " twice: set it once.");
        pairs.emplace_back(name, decoded(pair.substr(equals + 1)));
    }
    return pairs;
}

void implement_uri_handler(gpointer interface, gpointer) {
    auto* handler = static_cast<GstURIHandlerInterface*>(interface);
    handler->get_type = gst_motioncache_gen_uri_get_type;
    handler->get_protocols = gst_motioncache_gen_uri_get_protocols;
    handler->get_uri = gst_motioncache_gen_uri_get_uri;
    handler->set_uri = gst_motioncache_gen_uri_set_uri;
}

} // namespace mc::gst
