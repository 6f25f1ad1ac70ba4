// SPDX-License-Identifier: LGPL-2.1-or-later
// State changes: none waits for loading or sampling, each restart begins again, the model stays loaded.
#include "tests/element/player.h"

GST_START_TEST(test_states_without_properties) {
    use_testpattern();
    GstElement* gen = gst_element_factory_make("motioncachegen", nullptr);
    fail_unless(gen != nullptr);
    for (int round = 0; round < 3; round++) {
        fail_unless_equals_int(gst_element_set_state(gen, GST_STATE_READY), GST_STATE_CHANGE_SUCCESS);
        fail_unless_equals_int(gst_element_set_state(gen, GST_STATE_PLAYING), GST_STATE_CHANGE_FAILURE);
        fail_unless_equals_int(gst_element_set_state(gen, GST_STATE_NULL), GST_STATE_CHANGE_SUCCESS);
    }
    gst_object_unref(gen);
}
GST_END_TEST

GST_START_TEST(test_loading_blocks_no_state_change) {
    use_testpattern("load-ms=10000");
    Player player;
    auto begin = Clock::now();
    fail_unless_equals_int(player.set_state(GST_STATE_PAUSED), GST_STATE_CHANGE_ASYNC);
    fail_unless(seconds_since(begin) < 0.5, "PAUSED took %.3f s", seconds_since(begin));
    fail_unless(player.wait_log("progress start", 2));
    sleep_ms(50);

    begin = Clock::now();
    fail_unless_equals_int(player.set_state(GST_STATE_NULL), GST_STATE_CHANGE_SUCCESS);
    fail_unless(seconds_since(begin) < 0.5, "NULL took %.3f s", seconds_since(begin));
    fail_unless_equals_int(player.count("progress canceled"), 1);
    fail_unless(player.errors.empty());
}
GST_END_TEST

GST_START_TEST(test_stop_in_the_middle_of_a_step) {
    use_testpattern("step-ms=10000");
    Player player;
    player.play();
    fail_unless(player.wait_log("progress complete", 5));
    sleep_ms(50);
    auto begin = Clock::now();
    player.set_state(GST_STATE_NULL);
    fail_unless(seconds_since(begin) < 0.5, "NULL took %.3f s", seconds_since(begin));
    fail_unless(player.frames.empty() && player.errors.empty());
}
GST_END_TEST

GST_START_TEST(test_pause_stops_the_work) {
    use_testpattern();
    Player player("prompt=ball num-frames=577");
    player.set_state(GST_STATE_PAUSED);
    fail_unless(player.wait_log("chunk 2", 5));
    sleep_ms(100);
    // One chunk at the sink, two in the queue, one ready to go in.
    fail_unless_equals_int(int(player.chunks.size()), 4);
    player.play_to_end();
    fail_unless_equals_int(int(player.frames.size()), 577);
}
GST_END_TEST

GST_START_TEST(test_progress_closes_before_the_first_frame) {
    use_testpattern("load-ms=50");
    Player player;
    player.play_to_end();
    fail_unless_equals_int(player.count("progress start"), 1);
    fail_unless_equals_int(player.count("progress complete"), 1);
    fail_unless(player.count("progress continue") > 2);
    fail_unless(player.place("progress start") < player.place("progress continue"));
    fail_unless(player.place("progress complete") < player.place("frame"));
    for (size_t i = 1; i < player.percents.size(); i++)
        fail_unless(player.percents[i - 1] <= player.percents[i]);
    fail_unless(player.percents[1] > 0);
    fail_unless_equals_int(player.percents.back(), 100);
}
GST_END_TEST

GST_START_TEST(test_restart_begins_again_with_the_model_loaded) {
    use_testpattern();
    Player player("prompt=ball seed=7 num-frames=30");
    player.play_to_end();
    const auto run = player.frames;
    fail_unless_equals_int(int(run.size()), 30);

    player.set_state(GST_STATE_READY);
    player.forget();
    player.play_to_end();
    fail_unless_equals_int(int(player.frames[0].offset), 0);
    fail_unless(same_bytes(run, player.frames));
    fail_unless_equals_int(player.count("progress start"), 0);

    // In the middle of the stream, too.
    player.set_state(GST_STATE_READY);
    player.forget();
    player.set_state(GST_STATE_PAUSED);
    fail_unless(player.wait_log("chunk 0"));
    player.set_state(GST_STATE_READY);
    player.forget();
    player.play_to_end();
    fail_unless(same_bytes(run, player.frames));

    // What the model depends on has changed.
    player.set_state(GST_STATE_READY);
    g_object_set(player.gen, "threads", 3, nullptr);
    player.forget();
    player.play_to_end();
    fail_unless_equals_int(player.count("progress complete"), 1);

    player.set_state(GST_STATE_NULL);
    player.forget();
    player.play_to_end();
    fail_unless_equals_int(player.count("progress complete"), 1);
    fail_unless(same_bytes(run, player.frames));
}
GST_END_TEST

GST_START_TEST(test_states_at_random) {
    use_testpattern("load-ms=20,step-ms=1");
    Player player("prompt=ball steps=3 seed=1 num-frames=21");
    GRand* random = g_rand_new_with_seed(4711);
    for (int i = 0; i < 50; i++) {
        player.set_state(GstState(g_rand_int_range(random, GST_STATE_NULL, GST_STATE_PLAYING + 1)));
        sleep_ms(g_rand_int_range(random, 0, 20));
    }
    g_rand_free(random);
    player.set_state(GST_STATE_READY);
    fail_unless(player.errors.empty());
    player.forget();
    player.play_to_end();
    fail_unless_equals_int(int(player.frames.size()), 21);
}
GST_END_TEST

static Suite* states_suite(void) {
    Suite* suite = suite_create("states");
    TCase* tests = tcase_create("general");
    suite_add_tcase(suite, tests);
    tcase_add_test(tests, test_states_without_properties);
    tcase_add_test(tests, test_loading_blocks_no_state_change);
    tcase_add_test(tests, test_stop_in_the_middle_of_a_step);
    tcase_add_test(tests, test_pause_stops_the_work);
    tcase_add_test(tests, test_progress_closes_before_the_first_frame);
    tcase_add_test(tests, test_restart_begins_again_with_the_model_loaded);
    tcase_add_test(tests, test_states_at_random);
    return suite;
}

GST_CHECK_MAIN(states)
