// SPDX-License-Identifier: LGPL-2.1-or-later
// Built with the plugin and the test pattern under ThreadSanitizer: everything that an application may do from several
// threads, at once. A data race ends the program with an error.
#include <atomic>
#include <random>

#include "tests/element/player.h"

using Random = std::mt19937;

static int below(Random& random, int n) {
    return int(random() % unsigned(n));
}

// What may be set at any time without an error, whether it takes effect at once, later or not at all.
static void write_one(GstElement* gen, Random& random) {
    static const char* const prompts[] = {"a red ball", "a blue boat", "snow over the hills", "ü 雪"};
    switch (below(random, 14)) {
    case 0:
    case 1:
        return g_object_set(gen, "prompt", prompts[below(random, 4)], nullptr);
    case 2:
        return g_object_set(gen, "negative-prompt", prompts[below(random, 4)], nullptr);
    case 3:
        return g_object_set(gen, "guidance-scale", 1.5 + below(random, 50) / 10.0, nullptr);
    case 4:
        return g_object_set(gen, "cache-threshold", 0.01 + below(random, 50) / 100.0, nullptr);
    case 5:
        return g_object_set(gen, "prompt-transition", below(random, 4), nullptr);
    case 6:
        return g_object_set(gen, "queue-chunks", 1 + below(random, 4), "latency", below(random, 100) - 1, nullptr);
    case 7:
        return g_object_set(gen, "seed", gint64(below(random, 9)), "steps", 1 + below(random, 3), nullptr);
    case 8:
        return g_object_set(gen, "embed-metadata", below(random, 2), "qos-cache", below(random, 2), nullptr);
    case 9:
        return g_object_set(gen, "cache-warmup", below(random, 5), "cache-preset", below(random, 4), nullptr);
    case 10:
        return g_object_set(gen, "cache", 1 + below(random, 4), "qos-cache-max", below(random, 100) / 100.0,
                            nullptr);
    case 11:
        return g_signal_emit_by_name(gen, "clear-prompts");
    default: {
        gboolean taken = FALSE;
        g_signal_emit_by_name(gen, "queue-prompt", prompts[below(random, 4)], 1 + below(random, 30), &taken);
    }
    }
}

static void read_all(GstElement* gen) {
    guint count = 0;
    GParamSpec** specs = g_object_class_list_properties(G_OBJECT_GET_CLASS(gen), &count);
    for (guint i = 0; i < count; i++) {
        if (!(specs[i]->flags & G_PARAM_READABLE)) continue;
        GValue value = G_VALUE_INIT;
        g_value_init(&value, specs[i]->value_type);
        g_object_get_property(G_OBJECT(gen), specs[i]->name, &value);
        g_value_unset(&value);
    }
    g_free(specs);
}

static void ask(GstElement* gen) {
    gint64 value = 0;
    gst_element_query_duration(gen, GST_FORMAT_TIME, &value);
    gst_element_query_position(gen, GST_FORMAT_TIME, &value);
    GstQuery* query = gst_query_new_latency();
    gst_element_query(gen, query);
    gst_query_unref(query);
}

static void storm(bool live) {
    use_testpattern("step-ms=1,reuse=1");
    Player player(std::string("prompt=ball num-frames=-1 steps=2 ") + (live ? "is-live=true underrun=repeat" : ""),
                  "video/x-raw,width=32,height=32,framerate=100/1");
    std::atomic<bool> end{false};
    std::atomic<int> writes{0}, reads{0};
    std::vector<std::thread> threads;
    for (unsigned seed = 1; seed <= 3; seed++)
        threads.emplace_back([&, seed] {
            for (Random random(seed); !end; writes++) {
                write_one(player.gen, random);
                sleep_ms(1);
            }
        });
    threads.emplace_back([&] {
        for (; !end; reads++) {
            read_all(player.gen);
            ask(player.gen);
            sleep_ms(1);
        }
    });
    Random random(7);
    const GstState states[] = {GST_STATE_PLAYING, GST_STATE_PAUSED, GST_STATE_PLAYING, GST_STATE_READY, GST_STATE_NULL};
    size_t frames = 0;
    for (int i = 0; i < 40; i++) {
        player.set_state(states[below(random, G_N_ELEMENTS(states))]);
        if (i % 4 == 0) {
            player.play();
            player.wait([&] { return player.frames.size() > frames + 5 || !player.errors.empty(); }, 20);
        }
        if (i % 5 == 2) {
            gst_element_send_event(player.gen, gst_event_new_flush_start());
            gst_element_send_event(player.gen, gst_event_new_flush_stop(FALSE));
        }
        sleep_ms(below(random, 20));
        player.wait([&] { frames = player.frames.size(); return true; });
    }
    end = true;
    for (auto& thread : threads) thread.join();
    player.set_state(GST_STATE_NULL);
    fail_unless(player.errors.empty(), "%s", player.errors[0].message.c_str());
    fail_unless(player.frames.size() > 20, "%zu frames", player.frames.size());
    fail_unless(writes > 100 && reads > 10, "%d writes, %d reads", int(writes), int(reads));
}

GST_START_TEST(test_a_storm_while_a_video_is_made) {
    storm(false);
}
GST_END_TEST

GST_START_TEST(test_a_storm_on_air) {
    storm(true);
}
GST_END_TEST

static Suite* races_suite(void) {
    Suite* suite = suite_create("races");
    TCase* tests = tcase_create("general");
    suite_add_tcase(suite, tests);
    tcase_add_test(tests, test_a_storm_while_a_video_is_made);
    tcase_add_test(tests, test_a_storm_on_air);
    return suite;
}

GST_CHECK_MAIN(races)
