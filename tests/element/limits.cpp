// SPDX-License-Identifier: LGPL-2.1-or-later
// Each property at both ends of its range, through the element: it plays, or one error names the property.
#include "tests/element/player.h"

namespace {

// What the others are meanwhile: with a cache, of which there are most settings, and live, of which there are some.
const char* const OTHERS = "prompt=ball num-frames=10 steps=1 cache=motioncache attention=kv is-live=true";

// Of numbers both ends, of choices each one; of texts none.
std::vector<GValue> ends_of(GParamSpec* spec) {
    std::vector<GValue> ends;
    const auto add = [&](auto set, auto number) {
        GValue value = G_VALUE_INIT;
        g_value_init(&value, spec->value_type);
        set(&value, number);
        ends.push_back(value);
    };
    const auto both = [&](const auto* range, auto set) { add(set, range->minimum), add(set, range->maximum); };
    if (G_IS_PARAM_SPEC_INT(spec)) both(G_PARAM_SPEC_INT(spec), g_value_set_int);
    if (G_IS_PARAM_SPEC_INT64(spec)) both(G_PARAM_SPEC_INT64(spec), g_value_set_int64);
    if (G_IS_PARAM_SPEC_DOUBLE(spec)) both(G_PARAM_SPEC_DOUBLE(spec), g_value_set_double);
    if (G_IS_PARAM_SPEC_BOOLEAN(spec)) add(g_value_set_boolean, FALSE), add(g_value_set_boolean, TRUE);
    if (G_IS_PARAM_SPEC_ENUM(spec)) {
        const GEnumClass* values = G_PARAM_SPEC_ENUM(spec)->enum_class;
        for (guint i = 0; i < values->n_values; i++) add(g_value_set_enum, values->values[i].value);
    }
    return ends;
}

std::string text_of(const GValue& value) {
    gchar* text = g_strdup_value_contents(&value);
    const std::string copy = text;
    g_free(text);
    return copy;
}

} // namespace

GST_START_TEST(test_every_property_at_both_ends) {
    use_testpattern();
    Player first;
    guint count = 0, tried = 0, refused = 0;
    GParamSpec** specs = g_object_class_list_properties(G_OBJECT_GET_CLASS(first.gen), &count);
    for (guint i = 0; i < count; i++) {
        GParamSpec* spec = specs[i];
        if (spec->owner_type != G_OBJECT_TYPE(first.gen) || !(spec->flags & G_PARAM_WRITABLE)) continue;
        const bool text = G_IS_PARAM_SPEC_STRING(spec);
        std::vector<GValue> ends = ends_of(spec);
        fail_unless(text == ends.empty(), "%s has a type that is not tried here", spec->name);
        for (GValue& value : ends) {
            const std::string what = std::string(spec->name) + "=" + text_of(value);
            Player player(OTHERS, "video/x-raw,width=16,height=16,framerate=100/1");
            g_object_set_property(G_OBJECT(player.gen), spec->name, &value);
            g_value_unset(&value);
            player.play();
            fail_unless(player.wait([&] { return player.frames.size() >= 10 || player.eos || !player.errors.empty(); }),
                        "%s: nothing comes", what.c_str());
            tried++;
            if (!player.errors.empty()) {
                refused++;
                player.set_state(GST_STATE_NULL);
                fail_unless_equals_int(int(player.errors.size()), 1);
                fail_unless(player.errors[0].message.find(spec->name) != std::string::npos, "%s: %s", what.c_str(),
                            player.errors[0].message.c_str());
                fail_unless(player.frames.empty(), "%s plays, and is an error", what.c_str());
                continue;
            }
            gst_element_send_event(player.pipeline, gst_event_new_eos()); // where it would play for years
            fail_unless(player.wait_end() && player.eos && player.errors.empty(), "%s does not end", what.c_str());
            fail_unless(!player.frames.empty(), "%s: no frame", what.c_str());
            player.set_state(GST_STATE_NULL);
        }
    }
    g_free(specs);
    std::printf("%u values tried, %u of them refused\n", tried, refused);
    fail_unless(tried > 100, "%u", tried);
}
GST_END_TEST

static Suite* limits_suite(void) {
    Suite* suite = suite_create("limits");
    TCase* tests = tcase_create("general");
    suite_add_tcase(suite, tests);
    tcase_add_test(tests, test_every_property_at_both_ends);
    return suite;
}

GST_CHECK_MAIN(limits)
