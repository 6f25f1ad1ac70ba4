// SPDX-License-Identifier: LGPL-2.1-or-later
// Everything at once: threads that write and read properties, give signals, ask, flush and change the state, while it
// plays. What is asserted is that it goes on and can be used afterwards; tests/element/valgrind.sh
// and tests/sanitize.sh run it for what only they see.
#include <atomic>
#include <random>

#include "tests/element/player.h"

constexpr double STORM = 1.5; // seconds
static const char* const SMALL = "video/x-raw,width=16,height=16";
static const char* const WORDS[] = {"a red ball", "", "the sea \xe9\x9b\xaa", "snow over the hills; and wind"};

// In several threads, until `seconds` are over.
static void storm(std::vector<std::function<void(std::mt19937&)>> deeds, double seconds = STORM) {
    std::atomic<bool> over{false};
    std::vector<int> done(deeds.size()); // of each thread
    std::vector<std::thread> threads;
    for (size_t i = 0; i < deeds.size(); i++)
        threads.emplace_back([&, i] {
            std::mt19937 chance{unsigned(i)};
            for (; !over; done[i]++) deeds[i](chance);
        });
    sleep_ms(int(1000 * seconds));
    over = true;
    for (auto& thread : threads) thread.join();
    for (int times : done) fail_unless(times > 0);
}

static void write(GstElement* gen, std::mt19937& chance) {
    const auto number = [&](double low, double high) { return std::uniform_real_distribution(low, high)(chance); };
    gboolean queued = FALSE;
    switch (chance() % 8) {
    case 0: g_object_set(gen, "prompt", WORDS[chance() % 4], nullptr); break;
    case 1: g_object_set(gen, "negative-prompt", WORDS[chance() % 4], nullptr); break;
    case 2: g_object_set(gen, "guidance-scale", number(1.5, 9), nullptr); break;
    case 3: g_object_set(gen, "cache-threshold", number(0, 1), nullptr); break;
    case 4: g_signal_emit_by_name(gen, "queue-prompt", WORDS[chance() % 4], int(1 + chance() % 40), &queued); break;
    case 5:
        g_object_set(gen, "cache-warmup", int(chance() % 5), "cache-preset", int(chance() % 4), nullptr);
        break;
    case 6:
        g_object_set(gen, "qos-cache-max", number(0, 1), nullptr);
        break;
    default: if (chance() % 20 == 0) g_signal_emit_by_name(gen, "clear-prompts"); break;
    }
}

static void read(GstElement* gen, std::mt19937&) {
    gchar* prompt = nullptr;
    GstStructure* stats = nullptr;
    gdouble scale = 0;
    gint64 seed = 0, position = 0;
    g_object_get(gen, "prompt", &prompt, "stats", &stats, "guidance-scale", &scale, "seed-used", &seed, nullptr);
    gst_element_query_position(gen, GST_FORMAT_TIME, &position);
    GstQuery* latency = gst_query_new_latency();
    gst_element_query(gen, latency);
    gst_query_unref(latency);
    fail_unless(stats != nullptr);
    gst_structure_free(stats);
    g_free(prompt);
}

static void flush(GstElement* gen, std::mt19937&) {
    gst_element_send_event(gen, gst_event_new_flush_start());
    sleep_ms(1);
    gst_element_send_event(gen, gst_event_new_flush_stop(FALSE));
    sleep_ms(5);
}

static const std::string ENDLESS = "prompt=ball num-frames=-1 steps=2 cache=motioncache attention=kv";

static void check_that_it_goes_on(Player& player) {
    fail_unless(player.errors.empty(), "%s", player.errors.empty() ? "" : player.errors[0].message.c_str());
    const size_t before = player.frames.size();
    fail_unless(player.wait_frames(before + 20));
}

GST_START_TEST(test_properties_from_many_threads) {
    use_testpattern("step-ms=1");
    Player player(ENDLESS, SMALL);
    player.play();
    fail_unless(player.wait_frames(1));
    const auto writes = [&](std::mt19937& chance) { write(player.gen, chance), sleep_ms(1); };
    const auto reads = [&](std::mt19937& chance) { read(player.gen, chance), sleep_ms(1); };
    storm({writes, writes, reads, reads});
    check_that_it_goes_on(player);
}
GST_END_TEST

// From one thread: GStreamer's base class waits for ever in a flush-stop whose flush-start another one has ended.
GST_START_TEST(test_flushes_beside_properties) {
    use_testpattern("step-ms=1");
    Player player(ENDLESS, SMALL);
    player.play();
    fail_unless(player.wait_frames(1));
    const auto flushes = [&](std::mt19937& chance) { flush(player.gen, chance); };
    const auto writes = [&](std::mt19937& chance) { write(player.gen, chance), sleep_ms(1); };
    storm({flushes, writes, writes});
    check_that_it_goes_on(player);
}
GST_END_TEST

GST_START_TEST(test_states_beside_properties) {
    use_testpattern("step-ms=1");
    Player player(ENDLESS, SMALL);
    player.play();
    const GstState states[] = {GST_STATE_NULL, GST_STATE_READY, GST_STATE_PAUSED, GST_STATE_PLAYING};
    const auto writes = [&](std::mt19937& chance) { write(player.gen, chance), sleep_ms(1); };
    storm({writes, [&](std::mt19937& chance) { read(player.gen, chance), sleep_ms(1); },
           [&](std::mt19937& chance) { player.set_state(states[chance() % 4]), sleep_ms(10); }});
    player.set_state(GST_STATE_NULL);
    player.forget(); // an empty prompt may have been the one at a start
    g_object_set(player.gen, "prompt", "ball", nullptr);
    player.play();
    check_that_it_goes_on(player);
}
GST_END_TEST

static Suite* storm_suite(void) {
    Suite* suite = suite_create("storm");
    TCase* tests = tcase_create("general");
    suite_add_tcase(suite, tests);
    tcase_add_test(tests, test_properties_from_many_threads);
    tcase_add_test(tests, test_flushes_beside_properties);
    tcase_add_test(tests, test_states_beside_properties);
    return suite;
}

GST_CHECK_MAIN(storm)
