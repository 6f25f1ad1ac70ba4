// SPDX-License-Identifier: LGPL-2.1-or-later
// qos-cache: the cache's threshold follows the clock. The test pattern takes `step-ms` for a chunk of 12 frames,
// which last 120 ms at 100 a second, and `saves` percent less with twice the threshold of 0.1.
#include <cmath>

#include "tests/element/player.h"

static const char* const FAST = "video/x-raw,framerate=100/1,width=16,height=16";

template <typename T>
static T stat(GstElement* gen, const char* name) {
    GstStructure* stats = nullptr;
    g_object_get(gen, "stats", &stats, nullptr);
    T value = -1;
    const GType type = std::is_same_v<T, double> ? G_TYPE_DOUBLE : G_TYPE_INT64;
    fail_unless(gst_structure_get(stats, name, type, &value, nullptr), "stats has no %s", name);
    gst_structure_free(stats);
    return value;
}

// Plays so many frames in all.
static void play_on(Player& player, size_t frames) {
    fail_unless(player.wait_frames(frames, 40), "%zu of %zu frames", player.frames.size(), frames);
}

static int reversals(const std::vector<Threshold>& thresholds) {
    int count = 0;
    for (size_t i = 1; i < thresholds.size(); i++)
        count +=
            (thresholds[i].now > thresholds[i].before) != (thresholds[i - 1].now > thresholds[i - 1].before);
    return count;
}

// 200 ms for a chunk of 120 ms.
static const char* const TOO_SLOW = "step-ms=200,saves=50";

GST_START_TEST(test_a_stream_that_would_underrun_holds_its_rate) {
    use_testpattern(TOO_SLOW);
    {
        Player fixed("prompt=ball is-live=true steps=1 num-frames=-1 latency=100", FAST);
        fixed.play();
        play_on(fixed, 300);
        fail_unless(stat<gint64>(fixed.gen, "underruns") >= 12);
        fail_unless(fixed.thresholds.empty());
        fail_unless(std::abs(stat<double>(fixed.gen, "cache-threshold") - 0.1) < 1e-9);
    }
    Player player("prompt=ball is-live=true steps=1 num-frames=-1 latency=100 qos-cache=true", FAST);
    player.play();
    play_on(player, 300);
    const auto before = stat<gint64>(player.gen, "underruns");
    play_on(player, 700);
    fail_unless(stat<gint64>(player.gen, "underruns") <= before + 1);
    int gaps = 0;
    for (size_t i = 301; i < 700; i++)
        gaps += player.frames[i].pts - player.frames[i - 1].pts != GST_SECOND / 100;
    fail_unless(gaps <= 1, "%d gaps", gaps);
    const double threshold = stat<double>(player.gen, "cache-threshold"),
                 load = stat<double>(player.gen, "qos-load");
    fail_unless(threshold > 0.15 && threshold <= 0.4, "%.3f", threshold);
    fail_unless(load > 0.5 && load < 1, "%.3f", load);
    // It rests: each message is a change, and the last one is what counts.
    fail_unless(player.thresholds.size() >= 1 && player.thresholds.size() <= 6, "%zu changes",
                player.thresholds.size());
    fail_unless(reversals(player.thresholds) <= 2);
    fail_unless(player.thresholds[0].before == 0.1 && player.thresholds[0].now > 0.1 &&
                player.thresholds[0].load > 1);
    fail_unless(player.thresholds.back().now == threshold);
    for (const Threshold& t : player.thresholds) fail_unless(t.frame % 12 == 9);
    fail_unless_equals_int(int(player.titles.size()), 1); // and is no new title
}
GST_END_TEST

GST_START_TEST(test_load_that_goes_gives_the_quality_back) {
    use_testpattern("step-ms=72,saves=50,busy=15:45:230"); // 72 ms, then 166 ms
    Player player(
        "prompt=ball is-live=true steps=1 num-frames=-1 qos-cache=true qos-cache-max=0.8 queue-chunks=1",
        FAST);
    player.play();
    play_on(player, 9 + 12 * 12);
    fail_unless(player.thresholds.empty(), "changed without need");
    play_on(player, 9 + 12 * 40);
    const size_t busy = player.thresholds.size();
    fail_unless(busy >= 1 && stat<double>(player.gen, "cache-threshold") > 0.1);
    fail_unless(
        player.wait([&] { return player.thresholds.size() > busy && player.thresholds.back().now < 0.101; },
                    30),
        "the threshold stays at %.3f", player.thresholds.back().now);
    fail_unless(reversals(player.thresholds) <= 3, "%d", reversals(player.thresholds));
}
GST_END_TEST

// The first of four chunks takes the time of all, as with overlapping windows.
GST_START_TEST(test_chunks_of_a_window_are_judged_together) {
    use_testpattern("step-ms=100,saves=50,window=4"); // 400 ms for four
    Player player("prompt=ball is-live=true steps=1 num-frames=-1 qos-cache=true queue-chunks=4", FAST);
    player.play();
    play_on(player, 400);
    fail_unless(player.thresholds.empty(), "%.3f after a load of %.3f", player.thresholds[0].now,
                player.thresholds[0].load);
    fail_unless(std::abs(stat<double>(player.gen, "qos-load") - 0.83) < 0.12, "%.3f",
                stat<double>(player.gen, "qos-load"));
}
GST_END_TEST

GST_START_TEST(test_it_goes_no_further_than_its_limit) {
    use_testpattern("step-ms=300,saves=10");
    Player player("prompt=ball steps=1 num-frames=-1 qos-cache=true qos-cache-max=0.15 cache-threshold=0.12",
                  FAST);
    player.play(); // no live stream: what matters is how long the frames last
    play_on(player, 9 + 12 * 8);
    fail_unless(std::abs(stat<double>(player.gen, "cache-threshold") - 0.15) < 1e-9);
    fail_unless(player.thresholds.size() >= 1 && player.thresholds.size() <= 2);
    // Another lower limit: it stays where it is between the two.
    g_object_set(player.gen, "cache-threshold", 0.14, nullptr);
    play_on(player, 9 + 12 * 24);
    fail_unless(std::abs(stat<double>(player.gen, "cache-threshold") - 0.15) < 1e-9);
    // Once, that this is not enough; the other one is of the test pattern.
    fail_unless_equals_int(int(player.warnings.size()), 2);
    const std::string& told = player.warnings[1].message;
    fail_unless(
        told.find(
            "although the cache threshold is at its limit, 0.15: take fewer steps or a smaller picture, or set a "
            "higher qos-cache-max") != std::string::npos,
        "%s", told.c_str());
    // A higher limit, while it plays: it is gone to, and when it is not enough either that is told.
    g_object_set(player.gen, "qos-cache-max", 0.3, nullptr);
    play_on(player, 9 + 12 * 38);
    fail_unless(std::abs(stat<double>(player.gen, "cache-threshold") - 0.3) < 1e-9);
    fail_unless_equals_int(int(player.warnings.size()), 3);
    fail_unless(player.warnings[2].message.find("at its limit, 0.3:") != std::string::npos, "%s",
                player.warnings[2].message.c_str());
}
GST_END_TEST

// Where the limit is enough, and where load comes and goes, nothing is warned of.
GST_START_TEST(test_a_limit_that_is_enough_is_no_warning) {
    use_testpattern(TOO_SLOW);
    Player player("prompt=ball steps=1 num-frames=-1 qos-cache=true", FAST);
    player.play();
    play_on(player, 9 + 12 * 16);
    fail_unless(player.thresholds.size() >= 1);
    fail_unless_equals_int(int(player.warnings.size()), 1);
}
GST_END_TEST

// Another cache has a threshold of its own: the clock goes on from there, with limits that follow it.
GST_START_TEST(test_another_cache_while_the_clock_sets_its_threshold) {
    use_testpattern("step-ms=200,saves=50");
    Player player("prompt=ball steps=1 num-frames=-1 qos-cache=true cache=motioncache cache-threshold=0.1",
                  FAST);
    player.play();
    play_on(player, 9 + 12 * 10);
    const double before = stat<double>(player.gen, "cache-threshold");
    fail_unless(before > 0.12 && before <= 0.4, "%.3f", before);
    // A setting without a threshold: that stays the lower limit, and the clock's place between both, too.
    g_object_set(player.gen, "cache-warmup", 2, nullptr);
    play_on(player, 9 + 12 * 20);
    const double after = stat<double>(player.gen, "cache-threshold");
    fail_unless(after > 0.12 && after <= 0.4, "%.3f", after);
    fail_unless(stat<double>(player.gen, "qos-load") < 1.05, "%.3f", stat<double>(player.gen, "qos-load"));
    gst_util_set_object_arg(G_OBJECT(player.gen), "cache-threshold", "-1"); // 0.1 of the test pattern
    gst_util_set_object_arg(G_OBJECT(player.gen), "cache", "none");
    play_on(player, 9 + 12 * 26);
    fail_unless(stat<double>(player.gen, "cache-threshold") == 0);
    gst_util_set_object_arg(G_OBJECT(player.gen), "cache", "teacache");
    play_on(player, 9 + 12 * 36);
    fail_unless(stat<double>(player.gen, "cache-threshold") > 0.12);
    fail_unless(player.prompts.back().cache == "teacache");
    fail_unless_equals_int(int(player.warnings.size()), 1);
}
GST_END_TEST

GST_START_TEST(test_without_a_cache_it_says_so) {
    use_testpattern("step-ms=20");
    for (const char* limit : {"", " qos-cache-max=0.5"}) {
        Player player("prompt=ball steps=1 num-frames=60 qos-cache=true cache=none" + std::string(limit),
                      FAST);
        player.play_to_end();
        fail_unless(player.thresholds.empty());
        fail_unless_equals_int(int(player.warnings.size()), 2); // and the test pattern's
        fail_unless(player.warnings[1].message.find("qos-cache") == 0, "%s",
                    player.warnings[1].message.c_str());
    }
}
GST_END_TEST

static Suite* qos_cache_suite(void) {
    Suite* s = suite_create("qos-cache");
    TCase* t = tcase_create("element");
    suite_add_tcase(s, t);
    tcase_add_test(t, test_a_stream_that_would_underrun_holds_its_rate);
    tcase_add_test(t, test_load_that_goes_gives_the_quality_back);
    tcase_add_test(t, test_chunks_of_a_window_are_judged_together);
    tcase_add_test(t, test_it_goes_no_further_than_its_limit);
    tcase_add_test(t, test_a_limit_that_is_enough_is_no_warning);
    tcase_add_test(t, test_another_cache_while_the_clock_sets_its_threshold);
    tcase_add_test(t, test_without_a_cache_it_says_so);
    return s;
}

GST_CHECK_MAIN(qos_cache)
