// SPDX-License-Identifier: LGPL-2.1-or-later
// What the properties say arrives in the engine.
#include <gdk-pixbuf/gdk-pixbuf.h>
#include <glib/gstdio.h>

#include "tests/element/player.h"

static std::vector<Frame> frames_with(const std::string& settings, const std::string& caps = "") {
    use_testpattern();
    Player player("prompt=ball num-frames=12 " + settings, caps);
    player.play_to_end();
    fail_unless(player.errors.empty());
    return player.frames;
}

GST_START_TEST(test_the_seed_decides) {
    const auto run = frames_with("seed=5");
    fail_unless(same_bytes(run, frames_with("seed=5")));
    fail_unless(!same_bytes(run, frames_with("seed=6")));
}
GST_END_TEST

GST_START_TEST(test_a_random_seed_can_be_read_and_repeated) {
    use_testpattern();
    Player player("prompt=ball num-frames=12");
    gint64 seed = 0, used = 0;
    g_object_get(player.gen, "seed-used", &used, nullptr);
    fail_unless_equals_int64(used, -1);
    player.play_to_end();
    const auto run = player.frames;
    g_object_get(player.gen, "seed", &seed, "seed-used", &used, nullptr);
    fail_unless_equals_int64(seed, -1); // the setting stays: the next start draws again
    fail_unless(used >= 0);
    fail_unless(same_bytes(run, frames_with("seed=" + std::to_string(used))));

    player.set_state(GST_STATE_READY);
    player.forget();
    player.play_to_end();
    gint64 again = 0;
    g_object_get(player.gen, "seed-used", &again, nullptr);
    fail_unless(again != used); // by chance once in 2^32 runs
    fail_unless(!same_bytes(run, player.frames));
}
GST_END_TEST

GST_START_TEST(test_steps_and_guidance_count_as_forwards) {
    const struct {
        const char* settings;
        int forwards_total;
    } cases[] = {
        {"steps=4 num-frames=9", 8},
        {"steps=4 num-frames=9 guidance-scale=1", 4},
        {"steps=4 num-frames=9 causal-block-size=1", 24},
    };
    for (const auto& c : cases) {
        use_testpattern();
        Player player(std::string("prompt=ball ") + c.settings);
        player.play_to_end();
        fail_unless_equals_int(int(player.chunks.back().forwards_total), c.forwards_total);
    }
}
GST_END_TEST

GST_START_TEST(test_settings_are_copied_at_the_start) {
    use_testpattern("step-ms=2");
    Player player("prompt=ball seed=1 num-frames=21 steps=20");
    player.play();
    fail_unless(player.wait_log("chunk 0"));
    g_object_set(player.gen, "seed", G_GINT64_CONSTANT(2), "num-frames", 3, nullptr);
    fail_unless(player.wait_end() && player.eos);
    fail_unless_equals_int(int(player.frames.size()), 21);
    player.set_state(GST_STATE_READY);
    player.forget();
    player.play_to_end();
    fail_unless_equals_int(int(player.frames.size()), 3);
}
GST_END_TEST

static GParamSpec** own_settings(GstElement* gen, guint* count) {
    GParamSpec** specs = g_object_class_list_properties(G_OBJECT_GET_CLASS(gen), count);
    guint kept = 0;
    for (guint i = 0; i < *count; i++)
        if (specs[i]->owner_type == G_OBJECT_TYPE(gen) && specs[i]->flags & G_PARAM_WRITABLE) specs[kept++] = specs[i];
    *count = kept;
    return specs;
}

// Another value than the one it has.
static void change(GstElement* gen, GParamSpec* spec) {
    GValue value = G_VALUE_INIT, other = G_VALUE_INIT;
    g_value_init(&value, spec->value_type);
    g_object_get_property(G_OBJECT(gen), spec->name, &value);
    for (const char* text : {"0", "1", "3", "none", "full", "pixel", "quality", "repeat", "global", "frozen",
                             "float32", "true"}) {
        if (G_VALUE_HOLDS(&other, spec->value_type)) g_value_unset(&other);
        g_value_init(&other, spec->value_type);
        if (gst_value_deserialize(&other, text) && g_param_values_cmp(spec, &value, &other) &&
            !g_param_value_validate(spec, &other))
            break;
    }
    fail_unless(g_param_values_cmp(spec, &value, &other) != 0, "no other value for %s", spec->name);
    g_object_set_property(G_OBJECT(gen), spec->name, &other);
    g_value_unset(&value);
    g_value_unset(&other);
}

// What is set too late for this video says so on the bus, once for each property, and its flags say so beforehand.
GST_START_TEST(test_a_setting_that_comes_too_late_says_so) {
    use_testpattern("step-ms=20");
    Player player("prompt=ball");
    guint count = 0;
    GParamSpec** specs = own_settings(player.gen, &count);
    fail_unless(count > 30);
    // Those that count from the next chunk on: tests/element/prompts.cpp.
    guint late = 0;
    for (guint i = 0; i < count; i++)
        if (!(specs[i]->flags & GST_PARAM_MUTABLE_PLAYING)) specs[late++] = specs[i];
    fail_unless_equals_int(int(count - late), 17);
    count = late;
    player.set_state(GST_STATE_READY);
    g_object_set(player.gen, "shift", 7.0, nullptr); // in time
    player.play();
    fail_unless(player.wait_log("progress complete"));
    g_object_set(player.gen, "shift", 7.0, nullptr); // no change
    player.forget();
    for (int round = 0; round < 2; round++)
        for (guint i = 0; i < count; i++) change(player.gen, specs[i]);
    fail_unless(player.wait([&] { return player.warnings.size() >= count; }));
    sleep_ms(50); // for one too many
    fail_unless_equals_int(int(player.warnings.size()), int(count));
    for (guint i = 0; i < count; i++) {
        fail_unless(player.warnings[i].message.starts_with(std::string(specs[i]->name) + " was changed"), "%s",
                    player.warnings[i].message.c_str());
        fail_unless((specs[i]->flags & GST_PARAM_MUTABLE_READY) != 0, "%s", specs[i]->name);
        fail_unless(!(specs[i]->flags &
                      (GST_PARAM_MUTABLE_PAUSED | GST_PARAM_MUTABLE_PLAYING | GST_PARAM_CONTROLLABLE)));
    }
    player.set_state(GST_STATE_READY);
    player.forget();
    g_object_set(player.gen, "steps", 3, nullptr);
    sleep_ms(50);
    fail_unless(player.warnings.empty() && player.errors.empty());
    g_free(specs);
}
GST_END_TEST

GST_START_TEST(test_every_property_reads_what_was_set) {
    GstElement* gen = gst_element_factory_make("motioncachegen", nullptr);
    guint count = 0;
    GParamSpec** specs = g_object_class_list_properties(G_OBJECT_GET_CLASS(gen), &count);
    int seen = 0;
    for (guint i = 0; i < count; i++) {
        GParamSpec* spec = specs[i];
        if (spec->owner_type != G_OBJECT_TYPE(gen) || !(spec->flags & G_PARAM_WRITABLE)) continue;
        seen++;
        GValue in = G_VALUE_INIT, out = G_VALUE_INIT;
        g_value_init(&in, spec->value_type);
        g_value_init(&out, spec->value_type);
        if (G_VALUE_HOLDS_STRING(&in)) g_value_set_string(&in, spec->name);
        if (G_VALUE_HOLDS_INT(&in)) g_value_set_int(&in, 10 + seen);
        if (G_VALUE_HOLDS_INT64(&in)) g_value_set_int64(&in, G_MAXINT64 - seen);
        if (G_VALUE_HOLDS_BOOLEAN(&in)) g_value_set_boolean(&in, TRUE);
        if (G_VALUE_HOLDS_DOUBLE(&in)) {
            const auto* range = G_PARAM_SPEC_DOUBLE(spec);
            g_value_set_double(&in, range->minimum + (range->maximum - range->minimum) / (1.5 + seen));
        }
        if (G_VALUE_HOLDS_ENUM(&in)) g_value_set_enum(&in, G_PARAM_SPEC_ENUM(spec)->enum_class->maximum); // its last
        g_object_set_property(G_OBJECT(gen), spec->name, &in);
        g_object_get_property(G_OBJECT(gen), spec->name, &out);
        fail_unless_equals_int(gst_value_compare(&in, &out), GST_VALUE_EQUAL);
        g_value_unset(&in);
        g_value_unset(&out);
        fail_unless(spec->flags & (GST_PARAM_MUTABLE_READY | GST_PARAM_MUTABLE_PLAYING), "%s", spec->name);
    }
    fail_unless(seen > 0);
    g_free(specs);
    gst_object_unref(gen);
}
GST_END_TEST

// As gst-launch-1.0 sets them. GStreamer takes a value's description for its name too, and looks at that first.
GST_START_TEST(test_every_choice_can_be_named) {
    GstElement* gen = gst_element_factory_make("motioncachegen", nullptr);
    guint count = 0;
    int seen = 0;
    GParamSpec** specs = g_object_class_list_properties(G_OBJECT_GET_CLASS(gen), &count);
    for (guint i = 0; i < count; i++) {
        if (!G_IS_PARAM_SPEC_ENUM(specs[i]) || specs[i]->owner_type != G_OBJECT_TYPE(gen)) continue;
        const GEnumClass* choices = G_PARAM_SPEC_ENUM(specs[i])->enum_class;
        for (guint v = 0; v < choices->n_values; v++) {
            gst_util_set_object_arg(G_OBJECT(gen), specs[i]->name, choices->values[v].value_nick);
            GValue out = G_VALUE_INIT;
            g_object_get_property(G_OBJECT(gen), specs[i]->name, &out);
            fail_unless(g_value_get_enum(&out) == choices->values[v].value, "%s=%s", specs[i]->name,
                        choices->values[v].value_nick);
            g_value_unset(&out);
        }
        gst_util_set_object_arg(G_OBJECT(gen), specs[i]->name, choices->values[0].value_nick);
        seen++;
    }
    fail_unless(seen > 0);
    g_free(specs);
    gst_object_unref(gen);
}
GST_END_TEST

GST_START_TEST(test_a_cache_setting_makes_the_preset_custom) {
    GstElement* gen = gst_element_factory_make("motioncachegen", nullptr);
    const auto preset = [&] {
        GValue value = G_VALUE_INIT;
        g_object_get_property(G_OBJECT(gen), "cache-preset", &value);
        // The type's own, so it lives on: fail_unless_equals_string keeps pointers to what it compares.
        const char* nick =
            g_enum_get_value(G_ENUM_CLASS(g_type_class_peek(G_VALUE_TYPE(&value))), g_value_get_enum(&value))
                ->value_nick;
        g_value_unset(&value);
        return nick;
    };
    fail_unless_equals_string(preset(), "auto");
    gst_util_set_object_arg(G_OBJECT(gen), "cache-preset", "fast");
    fail_unless_equals_string(preset(), "fast");
    // Each by itself; and with its default the preset is what it was.
    guint count = 0;
    int knobs = 0;
    GParamSpec** specs = g_object_class_list_properties(G_OBJECT_GET_CLASS(gen), &count);
    for (guint i = 0; i < count; i++) {
        const char* name = specs[i]->name;
        if (!g_str_has_prefix(name, "cache-") || g_str_equal(name, "cache-preset")) continue;
        knobs++;
        gst_util_set_object_arg(G_OBJECT(gen), name, "1"); // of an enumeration: the first that is not auto
        fail_unless(g_str_equal(preset(), "custom"), "%s", name);
        g_object_set_property(G_OBJECT(gen), name, g_param_spec_get_default_value(specs[i]));
        fail_unless(g_str_equal(preset(), "fast"), "%s", name);
    }
    fail_unless(knobs > 0);
    g_free(specs);
    // A property that is not part of a preset leaves it.
    gst_util_set_object_arg(G_OBJECT(gen), "cache", "motioncache");
    gst_util_set_object_arg(G_OBJECT(gen), "finished-chunks", "refreshed");
    fail_unless_equals_string(preset(), "fast");
    gst_object_unref(gen);
}
GST_END_TEST

static gint64 number(const GstStructure* s, const char* field) {
    gint64 value = -1;
    fail_unless(gst_structure_get_int64(s, field, &value), "%s", field);
    return value;
}

GST_START_TEST(test_statistics_tell_while_it_runs_and_after) {
    use_testpattern("step-ms=2");
    Player player("prompt=ball num-frames=21 steps=20 seed=9");
    GstStructure* stats = nullptr;
    g_object_get(player.gen, "stats", &stats, nullptr);
    fail_unless_equals_int64(number(stats, "frames"), 0);
    gst_structure_free(stats);
    player.play();
    fail_unless(player.wait_log("chunk 0"));
    g_object_get(player.gen, "stats", &stats, nullptr);
    fail_unless(number(stats, "frames") >= 9 && number(stats, "frames-total") == 21);
    gst_structure_free(stats);
    fail_unless(player.wait_end() && player.eos);
    player.set_state(GST_STATE_READY);
    g_object_get(player.gen, "stats", &stats, nullptr);
    fail_unless_equals_int64(number(stats, "frames"), 21);
    fail_unless_equals_int64(number(stats, "seed"), 9);
    fail_unless_equals_string(gst_structure_get_string(stats, "cache"), "none");
    const auto chunks = chunks_of(stats);
    fail_unless_equals_int(int(chunks.size()), 2);
    const GstStructure* last = chunks[1];
    fail_unless_equals_int64(number(last, "first-frame"), 9);
    fail_unless_equals_int64(number(last, "frames"), 12);
    fail_unless(number(last, "turns-whole") > 0 && number(last, "tokens-reused") == 0);
    gst_structure_free(stats);
}
GST_END_TEST

GST_START_TEST(test_an_image_arrives) {
    gchar* folder = g_dir_make_tmp("motioncache-XXXXXX", nullptr);
    gchar* file = g_build_filename(folder, "picture.png", nullptr);
    GdkPixbuf* picture = gdk_pixbuf_new(GDK_COLORSPACE_RGB, TRUE, 8, 21, 18);
    guint8* pixels = gdk_pixbuf_get_pixels(picture);
    const int stride = gdk_pixbuf_get_rowstride(picture);
    for (int y = 0; y < 18; y++)
        for (int x = 0; x < 21; x++) {
            guint8* p = pixels + y * stride + 4 * x;
            p[0] = 10 * x, p[1] = 12 * y, p[2] = 77, p[3] = 255;
        }
    fail_unless(gdk_pixbuf_save(picture, file, "png", nullptr, nullptr));
    g_object_unref(picture);

    const auto frames = frames_with(std::string("causal-block-size=1 image=") + file,
                                    "video/x-raw,format=RGB,width=160,height=96");
    for (int y = 0; y < 16; y++)
        for (int x = 0; x < 16; x++) {
            const auto* p = reinterpret_cast<const guint8*>(frames[0].bytes.data()) + 3 * (160 * y + x);
            fail_unless(p[0] == 10 * x && p[1] == 12 * y && p[2] == 77, "pixel %d,%d is %d,%d,%d", x, y, p[0],
                        p[1], p[2]);
        }
    g_remove(file);
    g_rmdir(folder);
    g_free(file);
    g_free(folder);
}
GST_END_TEST

static Suite* request_suite(void) {
    Suite* suite = suite_create("request");
    TCase* tests = tcase_create("general");
    suite_add_tcase(suite, tests);
    tcase_add_test(tests, test_the_seed_decides);
    tcase_add_test(tests, test_a_random_seed_can_be_read_and_repeated);
    tcase_add_test(tests, test_steps_and_guidance_count_as_forwards);
    tcase_add_test(tests, test_settings_are_copied_at_the_start);
    tcase_add_test(tests, test_a_setting_that_comes_too_late_says_so);
    tcase_add_test(tests, test_every_property_reads_what_was_set);
    tcase_add_test(tests, test_every_choice_can_be_named);
    tcase_add_test(tests, test_a_cache_setting_makes_the_preset_custom);
    tcase_add_test(tests, test_statistics_tell_while_it_runs_and_after);
    tcase_add_test(tests, test_an_image_arrives);
    return suite;
}

GST_CHECK_MAIN(request)
