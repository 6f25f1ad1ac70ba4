// SPDX-License-Identifier: LGPL-2.1-or-later
// How long a model stays in memory, and who shares it. The test pattern opens no model while fail=load is asked for:
// what plays then has one that was there.
#include <glib/gstdio.h>

#include <filesystem>
#include <fstream>

#include "tests/element/own_process.h"
#include "tests/element/player.h"

static const char* const SMALL = "video/x-raw,width=16,height=16";

// A model of its own for each test: what one keeps for the process is not seen by the next.
class Model {
  public:
    Model() {
        gchar* folder = g_dir_make_tmp("model-XXXXXX", nullptr);
        path = folder;
        g_free(folder);
        namespace fs = std::filesystem;
        for (const auto& file : fs::recursive_directory_iterator(g_getenv("MOTIONCACHE_MODEL"))) {
            const fs::path to = fs::path(path) / fs::relative(file.path(), g_getenv("MOTIONCACHE_MODEL"));
            if (file.is_directory())
                fs::create_directories(to);
            else
                fs::create_symlink(file.path(), to);
        }
    }
    ~Model() { std::filesystem::remove_all(path); }
    Model(const Model&) = delete;
    std::string settings(const char* more = "") const {
        return "prompt=ball num-frames=9 steps=1 model-path=" + path + " " + more;
    }
    std::string path;
};

static bool plays(Player& player) {
    player.forget();
    player.play();
    fail_unless(player.wait_end());
    return player.errors.empty();
}

static void open_nothing() {
    use_testpattern("fail=load");
}

GST_START_TEST(test_two_elements_share_a_model) {
    const Model model;
    use_testpattern();
    Player first(model.settings(), SMALL);
    fail_unless(plays(first));
    open_nothing();
    Player second(model.settings(), SMALL), other(model.settings("threads=3"), SMALL);
    fail_unless(plays(second));
    fail_unless(second.place("progress start") >= 0 &&
                second.place("progress complete") < second.place_of_frame(0));
    fail_unless(!plays(other), "other settings of a model are another model");
    first.set_state(GST_STATE_NULL);
    second.set_state(GST_STATE_READY);
    fail_unless(plays(second), "what the first one opened is the second one's too");
    second.set_state(GST_STATE_NULL);
    fail_unless(!plays(second));
    fail_unless(!plays(first));
}
GST_END_TEST

GST_START_TEST(test_two_elements_load_once) {
    const Model model;
    use_testpattern("load-ms=600");
    Player first(model.settings(), SMALL), second(model.settings(), SMALL);
    first.play();
    fail_unless(first.wait_log("progress start"));
    sleep_ms(100);
    use_testpattern("fail=load"); // is read when a model is opened: by the first one it was
    second.play();
    fail_unless(first.wait_end() && second.wait_end());
    fail_unless(first.errors.empty() && second.errors.empty());
}
GST_END_TEST

GST_START_TEST(test_who_waits_for_anothers_load_stops_at_once) {
    const Model model;
    use_testpattern("load-ms=3000");
    Player first(model.settings(), SMALL), second(model.settings(), SMALL);
    first.play();
    fail_unless(first.wait_log("progress start"));
    sleep_ms(200);
    second.play();
    fail_unless(second.wait_log("progress start"));
    sleep_ms(100);
    const auto begin = Clock::now();
    second.set_state(GST_STATE_NULL);
    fail_unless(seconds_since(begin) < 1.5, "%.3f s", seconds_since(begin));
    fail_unless(second.count("progress canceled") == 1 && second.errors.empty());
}
GST_END_TEST

// The one that loads is stopped, or fails: the one that waited opens the model itself.
GST_START_TEST(test_anothers_load_that_ends_is_taken_over) {
    const Model model;
    use_testpattern("load-ms=800");
    Player first(model.settings(), SMALL), second(model.settings(), SMALL);
    first.play();
    fail_unless(first.wait_log("progress start"));
    sleep_ms(200);
    second.play();
    fail_unless(second.wait_log("progress start"));
    sleep_ms(100);
    first.set_state(GST_STATE_NULL);
    fail_unless(second.wait_end() && second.errors.empty() && second.frames.size() == 9);
}
GST_END_TEST

GST_START_TEST(test_never_ready_process) {
    for (const char* keep : {"never", "ready", "process"}) {
        const Model model;
        const std::string name = keep;
        {
            use_testpattern();
            Player player(model.settings(("keep-model=" + name).c_str()), SMALL);
            fail_unless(plays(player));
            player.set_state(GST_STATE_READY);
            open_nothing();
            fail_unless_equals_int(plays(player), name != "never");
            use_testpattern();
            player.set_state(GST_STATE_READY);
            fail_unless(plays(player), "%s: restartable behind an error", keep);
            player.set_state(GST_STATE_NULL);
            open_nothing();
            fail_unless_equals_int(plays(player), name == "process");
        }
        Player next(model.settings(), SMALL);
        fail_unless_equals_int(plays(next), name == "process");
    }
}
GST_END_TEST

GST_START_TEST(test_what_was_kept_goes_when_another_is_opened) {
    const Model model, other;
    use_testpattern();
    {
        Player player(model.settings("keep-model=process"), SMALL);
        fail_unless(plays(player));
    }
    Player second(other.settings(), SMALL);
    fail_unless(plays(second));
    open_nothing();
    Player third(model.settings(), SMALL);
    fail_unless(!plays(third));
}
GST_END_TEST

GST_START_TEST(test_a_file_that_has_changed_is_another_model) {
    const Model model;
    use_testpattern();
    Player player(model.settings("keep-model=process"), SMALL);
    fail_unless(plays(player));
    player.set_state(GST_STATE_READY);
    open_nothing();
    fail_unless(plays(player));
    player.set_state(GST_STATE_READY);
    std::ofstream(std::filesystem::path(model.path) / "notes.txt") << "changed";
    fail_unless(!plays(player));
}
GST_END_TEST

GST_START_TEST(test_an_error_comes_once_and_leaves_the_element_restartable) {
    for (const char* fault :
         {"fail=check", "fail=load", "fail=device", "fail=session", "fail=memory", "fail=numbers:0"}) {
        const Model model;
        use_testpattern(fault);
        Player player(model.settings(), SMALL);
        for (int i = 0; i < 3; i++) {
            fail_unless(!plays(player), "%s", fault);
            sleep_ms(20);
            fail_unless_equals_int(int(player.errors.size()), 1);
            player.set_state(i % 2 ? GST_STATE_NULL : GST_STATE_READY);
        }
        player.set_state(GST_STATE_NULL);
        use_testpattern();
        fail_unless(plays(player), "%s", fault);
        fail_unless_equals_int(int(player.frames.size()), 9);
    }
}
GST_END_TEST

// ---- over and over ----

GST_START_TEST(test_200_cycles_leave_nothing) {
    const Model model;
    use_testpattern();
    gint64 threads = 0, memory = 0;
    int files = 0;
    for (int i = 0; i < 200; i++) {
        const char* keep[] = {"keep-model=never", "keep-model=ready", "keep-model=process"};
        Player player(model.settings(keep[i % 3]), SMALL);
        if (i % 7 == 3) { // stopped in its middle
            player.play();
            player.wait_frames(2);
        } else {
            fail_unless(plays(player));
            player.set_state(GST_STATE_READY);
            if (i % 2) fail_unless(plays(player));
        }
        player.set_state(GST_STATE_NULL);
        if (i != 50) continue; // all that is made once is there
        threads = own_status("Threads");
        memory = own_status("VmRSS");
        files = own_descriptors();
    }
    // GStreamer's and GLib's pools of threads grow and shrink by themselves.
    fail_unless(own_status("Threads") <= threads + 2, "%ld threads, %ld before", long(own_status("Threads")),
                long(threads));
    fail_unless(own_descriptors() <= files, "%d descriptors, %d before", own_descriptors(), files);
    fail_unless(own_status("VmRSS") <= memory + 3000, "%ld KiB, %ld before", long(own_status("VmRSS")), long(memory));
}
GST_END_TEST

static Suite* keep_model_suite(void) {
    Suite* suite = suite_create("keep-model");
    TCase* tests = tcase_create("general");
    suite_add_tcase(suite, tests);
    tcase_add_test(tests, test_two_elements_share_a_model);
    tcase_add_test(tests, test_two_elements_load_once);
    tcase_add_test(tests, test_who_waits_for_anothers_load_stops_at_once);
    tcase_add_test(tests, test_anothers_load_that_ends_is_taken_over);
    tcase_add_test(tests, test_never_ready_process);
    tcase_add_test(tests, test_what_was_kept_goes_when_another_is_opened);
    tcase_add_test(tests, test_a_file_that_has_changed_is_another_model);
    tcase_add_test(tests, test_an_error_comes_once_and_leaves_the_element_restartable);
    tcase_add_test(tests, test_200_cycles_leave_nothing);
    return suite;
}

GST_CHECK_MAIN(keep_model)
