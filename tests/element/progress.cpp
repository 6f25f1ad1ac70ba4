// SPDX-License-Identifier: LGPL-2.1-or-later
// The message motioncache-progress: true, not too often, and there at the end.
#include "tests/element/player.h"

GST_START_TEST(test_progress_rises_to_the_whole) {
    use_testpattern("step-ms=15");
    Player player("prompt=ball num-frames=33 steps=40");
    const auto begin = Clock::now();
    player.play_to_end();
    const double seconds = seconds_since(begin);
    fail_unless(player.errors.empty() && player.wait([&] { return player.progress.back().fraction == 1; }));
    const auto& list = player.progress;
    // Three chunks of 40 steps take 1.8 s or more: every quarter second, and the last.
    fail_unless(list.size() >= 4 && double(list.size()) <= seconds / 0.25 + 2, "%zu in %.2f s", list.size(), seconds);
    double before = -1;
    for (const Progress& p : list) {
        fail_unless((p.fraction > before || &p == &list.back()) && p.fraction <= 1);
        before = p.fraction;
        fail_unless_equals_int64(p.chunks, 3);
        fail_unless_equals_int(p.steps, 40);
        fail_unless(p.chunk >= 0 && p.chunk <= 3 && p.step >= 0 && p.step <= 40);
        if (&p == &list.back()) continue;
        fail_unless(ABS(p.fraction - double(p.chunk * 40 + p.step) / 120) < 1e-9);
        const double wanted = 120 * 0.015 * (1 - p.fraction); // at least
        fail_unless(p.seconds_left >= 0.99 * wanted && p.seconds_left < 120, "%.3f s for %.3f", p.seconds_left, wanted);
    }
    fail_unless(list.back().fraction == 1 && list.back().seconds_left == 0);
}
GST_END_TEST

GST_START_TEST(test_fast_steps_are_few_messages) {
    use_testpattern();
    Player player("prompt=ball num-frames=200 steps=300");
    const auto begin = Clock::now();
    player.play_to_end();
    fail_unless(player.wait([&] { return !player.progress.empty() && player.progress.back().fraction == 1; }));
    fail_unless(double(player.progress.size()) <= seconds_since(begin) / 0.25 + 2);
}
GST_END_TEST

GST_START_TEST(test_a_stream_without_end_tells_its_steps_alone) {
    use_testpattern("step-ms=10");
    Player player("prompt=ball num-frames=-1 steps=10");
    player.play();
    fail_unless(player.wait([&] { return player.progress.size() >= 3; }));
    player.set_state(GST_STATE_NULL);
    for (const Progress& p : player.progress) {
        fail_unless(p.chunks == -1 && p.fraction == -1 && p.seconds_left == -1);
        fail_unless(p.step >= 0 && p.step <= 10 && p.steps == 10);
    }
    fail_unless(player.progress.back().chunk > 0);
}
GST_END_TEST

static Suite* progress_suite(void) {
    Suite* suite = suite_create("progress");
    TCase* tests = tcase_create("general");
    suite_add_tcase(suite, tests);
    tcase_add_test(tests, test_progress_rises_to_the_whole);
    tcase_add_test(tests, test_fast_steps_are_few_messages);
    tcase_add_test(tests, test_a_stream_without_end_tells_its_steps_alone);
    return suite;
}

GST_CHECK_MAIN(progress)
