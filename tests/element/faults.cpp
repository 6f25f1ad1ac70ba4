// SPDX-License-Identifier: LGPL-2.1-or-later
// Each fault is exactly one error on the bus, with the domain that programs look at and a remedy for people.
#include <glib/gstdio.h>
#include <sys/stat.h>

#include "tests/element/player.h"

static void check_error(const Player& player, GQuark domain, int code, const char* text) {
    fail_unless_equals_int(int(player.errors.size()), 1);
    const Failure& e = player.errors[0];
    fail_unless(e.domain == domain && e.code == code, "%s %d: %s", g_quark_to_string(e.domain), e.code,
                e.message.c_str());
    fail_unless(e.message.find(text) != std::string::npos, "\"%s\" is not in: %s", text, e.message.c_str());
}

// The start fails: before the state change returns.
static void check_start(const std::string& settings, GQuark domain, int code, const char* text) {
    Player player(settings);
    fail_unless_equals_int(player.set_state(GST_STATE_PLAYING), GST_STATE_CHANGE_FAILURE);
    check_error(player, domain, code, text);
    player.set_state(GST_STATE_NULL);
    fail_unless_equals_int(int(player.errors.size()), 1);
    fail_unless_equals_int(player.count("progress start"), 0);
}

// The worker fails. Returns how many frames came before.
static size_t check_worker(const std::string& settings, GQuark domain, int code, const char* text) {
    Player player(settings);
    player.play();
    fail_unless(player.wait_error(), "no error");
    sleep_ms(50); // for a second one
    player.set_state(GST_STATE_NULL);
    check_error(player, domain, code, text);
    const bool loading = player.place("progress complete") < 0;
    fail_unless_equals_int(player.count("progress error"), loading ? 1 : 0);
    fail_unless_equals_int(player.count("progress canceled"), 0);
    if (loading) fail_unless(player.place("error") < player.place("progress error"));
    return player.frames.size();
}

GST_START_TEST(test_settings_that_cannot_start) {
    use_testpattern();
    const GQuark resource = GST_RESOURCE_ERROR;
    check_start("", resource, GST_RESOURCE_ERROR_SETTINGS, "set prompt");
    check_start("prompt=\"\"", resource, GST_RESOURCE_ERROR_SETTINGS, "set prompt");
    check_start("prompt=\"  \"", resource, GST_RESOURCE_ERROR_SETTINGS, "set prompt");
    check_start("prompt=ball steps=0", resource, GST_RESOURCE_ERROR_SETTINGS, "steps is 0 but must be from 1 to 1000.");
    check_start("prompt=ball causal-block-size=0", resource, GST_RESOURCE_ERROR_SETTINGS,
                "causal-block-size is 0 but must be from 1 to 1024.");
    check_start("prompt=ball model-path=/does/not/exist", resource, GST_RESOURCE_ERROR_NOT_FOUND,
                "/does/not/exist");
    g_setenv("MOTIONCACHE_ENGINE", "magic", TRUE);
    check_start("prompt=ball", resource, GST_RESOURCE_ERROR_SETTINGS, "\"magic\"");
}
GST_END_TEST

GST_START_TEST(test_text_that_is_not_utf8) {
    use_testpattern();
    Player player;
    g_object_set(player.gen, "prompt", "ball \xff", nullptr);
    fail_unless_equals_int(player.set_state(GST_STATE_PLAYING), GST_STATE_CHANGE_FAILURE);
    check_error(player, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_SETTINGS, "prompt is not valid UTF-8");
}
GST_END_TEST

GST_START_TEST(test_faults_of_the_engine) {
    const struct {
        const char *knobs, *settings;
        GQuark domain;
        int code;
        const char* text;
        size_t frames;
    } cases[] = {
        {"fail=load", "", GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_READ, "drop fail=load", 0},
        {"fail=check,load-ms=40000", "", GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_SETTINGS, "drop fail=check", 0},
        {"fail=device", "", GST_LIBRARY_ERROR, GST_LIBRARY_ERROR_INIT, "drop fail=device", 0},
        {"fail=session", "", GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_SETTINGS, "drop fail=session", 0},
        {"fail=memory", "", GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_NO_SPACE_LEFT, "drop fail=memory", 0},
        {"fail=numbers:0", "", GST_STREAM_ERROR, GST_STREAM_ERROR_FAILED, "drop fail=numbers", 0},
        {"fail=numbers:2", "", GST_STREAM_ERROR, GST_STREAM_ERROR_FAILED, "drop fail=numbers", 21},
        {"fail=next:1", "", GST_LIBRARY_ERROR, GST_LIBRARY_ERROR_FAILED, "drop fail=next", 9},
        {"fail=sometimes", "", GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_SETTINGS, "fail=sometimes is unknown",
         0},
    };
    for (const auto& c : cases) {
        use_testpattern(c.knobs);
        const size_t frames =
            check_worker(std::string("prompt=ball ") + c.settings, c.domain, c.code, c.text);
        // An error stops the pipeline at once, so frames before it may or may not have arrived.
        fail_unless(frames <= c.frames, "%s: %zu frames", c.knobs, frames);
    }
}
GST_END_TEST

GST_START_TEST(test_it_works_again_after_a_fault) {
    use_testpattern("fail=load");
    Player player("prompt=ball num-frames=3");
    player.play();
    fail_unless(player.wait_error());
    player.set_state(GST_STATE_READY);
    player.forget();
    use_testpattern();
    player.play_to_end();
    fail_unless(player.eos && player.errors.empty());
    fail_unless_equals_int(int(player.frames.size()), 3);

    // And the next fault is told again.
    player.set_state(GST_STATE_NULL);
    player.forget();
    use_testpattern("fail=session");
    player.play();
    fail_unless(player.wait_error());
    check_error(player, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_SETTINGS, "drop fail=session");
}
GST_END_TEST

static GstPadProbeReturn answer(GstPad*, GstPadProbeInfo* info, gpointer flow) {
    gst_buffer_unref(GST_PAD_PROBE_INFO_BUFFER(info));
    GST_PAD_PROBE_INFO_FLOW_RETURN(info) = GstFlowReturn(GPOINTER_TO_INT(flow));
    return GST_PAD_PROBE_HANDLED;
}

static GstPad* pad_of_sink(const Player& player) {
    GstElement* sink = gst_bin_get_by_name(GST_BIN(player.pipeline), "sink");
    GstPad* pad = gst_element_get_static_pad(sink, "sink");
    gst_object_unref(sink);
    return pad;
}

// Whatever downstream answers: an error, the end, or silence, once; and the next start works.
GST_START_TEST(test_every_answer_of_downstream) {
    use_testpattern();
    Player player("prompt=ball num-frames=9 steps=1");
    GstPad* pad = pad_of_sink(player);
    for (const GstFlowReturn flow :
         {GST_FLOW_ERROR, GST_FLOW_NOT_NEGOTIATED, GST_FLOW_NOT_LINKED, GST_FLOW_NOT_SUPPORTED,
          GST_FLOW_CUSTOM_ERROR, GST_FLOW_EOS, GST_FLOW_FLUSHING}) {
        player.forget();
        const gulong probe =
            gst_pad_add_probe(pad, GST_PAD_PROBE_TYPE_BUFFER, answer, GINT_TO_POINTER(flow), nullptr);
        player.play();
        if (flow == GST_FLOW_FLUSHING) // nobody asked the sink to flush, and nobody is told
            sleep_ms(200);
        else
            fail_unless(player.wait_end(), "%s", gst_flow_get_name(flow));
        sleep_ms(50); // for a second one
        player.set_state(GST_STATE_READY);
        const size_t errors = flow == GST_FLOW_EOS || flow == GST_FLOW_FLUSHING ? 0 : 1;
        fail_unless(player.errors.size() == errors, "%s: %zu errors", gst_flow_get_name(flow),
                    player.errors.size());
        gst_pad_remove_probe(pad, probe);
        player.forget();
        player.play_to_end();
        fail_unless(player.eos && player.errors.empty() && player.frames.size() == 9, "after %s",
                    gst_flow_get_name(flow));
        player.set_state(GST_STATE_READY);
    }
    gst_object_unref(pad);
}
GST_END_TEST

static GstPadProbeReturn stay(GstPad*, GstPadProbeInfo*, gpointer blocked) {
    g_atomic_int_inc(static_cast<int*>(blocked));
    return GST_PAD_PROBE_OK;
}

// A peer that never takes a frame holds up no state change, and neither does an end that is asked for.
GST_START_TEST(test_downstream_that_blocks_for_ever) {
    use_testpattern();
    for (bool eos : {false, true}) {
        Player player("prompt=ball num-frames=-1 steps=1");
        GstPad* pad = pad_of_sink(player);
        int blocked = 0;
        gst_pad_add_probe(pad, GstPadProbeType(GST_PAD_PROBE_TYPE_BLOCK | GST_PAD_PROBE_TYPE_BUFFER), stay,
                          &blocked, nullptr);
        player.play();
        fail_unless(player.wait([&] { return g_atomic_int_get(&blocked) > 0; }));
        sleep_ms(50);
        if (eos) gst_element_send_event(player.gen, gst_event_new_eos());
        const gint64 begin = g_get_monotonic_time();
        player.set_state(GST_STATE_NULL);
        fail_unless(g_get_monotonic_time() - begin < 10 * G_USEC_PER_SEC);
        fail_unless(player.errors.empty() && player.frames.empty());
        gst_object_unref(pad);
    }
}
GST_END_TEST

GST_START_TEST(test_the_test_pattern_warns) {
    use_testpattern();
    Player player("prompt=ball num-frames=1");
    player.play_to_end();
    fail_unless_equals_int(int(player.warnings.size()), 1);
    fail_unless(player.warnings[0].message.find("test pattern") != std::string::npos);
}
GST_END_TEST

// The engine's warnings go to the application, not only to the log.
GST_START_TEST(test_a_warning_of_the_engine_is_on_the_bus) {
    use_testpattern("warn=1");
    Player player("prompt=ball num-frames=1");
    player.play_to_end();
    fail_unless(player.eos && player.errors.empty());
    fail_unless_equals_int(int(player.warnings.size()), 2);
    fail_unless(player.warnings[1].message.find("drop warn=1") != std::string::npos);
    player.set_state(GST_STATE_READY); // once per load
    player.forget();
    player.play_to_end();
    fail_unless_equals_int(int(player.warnings.size()), 1);
}
GST_END_TEST

GST_START_TEST(test_the_engine_library_is_missing) {
    gchar* folder = g_dir_make_tmp("motioncache-XXXXXX", nullptr);
    g_unsetenv("MOTIONCACHE_ENGINE"); // never replaced by the test pattern
    g_setenv("MOTIONCACHE_ENGINE_DIR", folder, TRUE);
    check_worker("prompt=ball", GST_LIBRARY_ERROR, GST_LIBRARY_ERROR_INIT, "MOTIONCACHE_ENGINE_DIR");

    // There, but not to be opened: the dynamic linker's words are the detail.
    gchar* file = g_build_filename(folder, "libmotioncache.so", nullptr);
    fail_unless(g_file_set_contents(file, "not a library", -1, nullptr));
    Player player;
    player.play();
    fail_unless(player.wait_error());
    check_error(player, GST_LIBRARY_ERROR, GST_LIBRARY_ERROR_INIT, "LibTorch");
    fail_unless(player.errors[0].debug.find("file too short") != std::string::npos ||
                    player.errors[0].debug.find("ELF") != std::string::npos,
                "%s", player.errors[0].debug.c_str());
    g_remove(file);
    g_rmdir(folder);
    g_free(file);
    g_free(folder);
}
GST_END_TEST

GST_START_TEST(test_pictures_that_are_none) {
    use_testpattern("load-ms=40000"); // a wrong picture is told before the model is loaded
    gchar* folder = g_dir_make_tmp("motioncache-XXXXXX", nullptr);
    gchar* file = g_build_filename(folder, "text.png", nullptr);
    fail_unless(g_file_set_contents(file, "this is no picture", -1, nullptr));
    gchar* pipe = g_build_filename(folder, "pipe.png", nullptr);
    fail_unless_equals_int(mkfifo(pipe, 0600), 0);
    const GQuark resource = GST_RESOURCE_ERROR;
    for (const std::string property : {"image", "end-image"}) {
        check_worker("prompt=ball causal-block-size=1 " + property + "=" + file, resource,
                     GST_RESOURCE_ERROR_READ, (property + "=").c_str());
        check_worker("prompt=ball causal-block-size=1 " + property + "=" + folder + "/none.png", resource,
                     GST_RESOURCE_ERROR_NOT_FOUND, "does not exist");
        check_worker("prompt=ball causal-block-size=1 " + property + "=" + folder, resource,
                     GST_RESOURCE_ERROR_READ, "PNG or JPEG");
        check_worker("prompt=ball causal-block-size=1 " + property + "=" + pipe, resource,
                     GST_RESOURCE_ERROR_READ, "PNG or JPEG"); // nobody writes: must not be waited for
    }
    g_remove(pipe);
    g_free(pipe);
    g_remove(file);
    g_rmdir(folder);
    g_free(file);
    g_free(folder);
}
GST_END_TEST

static Suite* faults_suite(void) {
    Suite* suite = suite_create("faults");
    TCase* tests = tcase_create("general");
    suite_add_tcase(suite, tests);
    tcase_add_test(tests, test_settings_that_cannot_start);
    tcase_add_test(tests, test_text_that_is_not_utf8);
    tcase_add_test(tests, test_faults_of_the_engine);
    tcase_add_test(tests, test_it_works_again_after_a_fault);
    tcase_add_test(tests, test_every_answer_of_downstream);
    tcase_add_test(tests, test_downstream_that_blocks_for_ever);
    tcase_add_test(tests, test_the_test_pattern_warns);
    tcase_add_test(tests, test_a_warning_of_the_engine_is_on_the_bus);
    tcase_add_test(tests, test_the_engine_library_is_missing);
    tcase_add_test(tests, test_pictures_that_are_none);
    return suite;
}

GST_CHECK_MAIN(faults)
