// SPDX-License-Identifier: LGPL-2.1-or-later
// From NULL to PLAYING and back, over and over, with the engine and the demo model: what a cycle takes is given back.
// CYCLES=N: so many of each case (default 24).
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <vector>

#include "tests/element/own_process.h"
#include "tests/element/player.h"

constexpr double LOADING = 120;    // seconds, on a machine that builds something else meanwhile
constexpr gint64 LEAK = 64;        // KiB in each cycle, where CYCLES is 128 or more; else SLACK alone decides
constexpr gint64 SLACK = 4 * 1024; // KiB by which the allocator's heap moves up and down by itself

struct Held {
    gint64 memory, threads; // KiB; how many
    int descriptors;
};

static Held held() {
    return {own_status("VmRSS"), own_status("Threads"), own_descriptors()};
}

static gint64 least(const std::vector<Held>& seen, size_t begin, size_t end) {
    gint64 memory = G_MAXINT64;
    for (size_t i = begin; i < end; i++) memory = std::min(memory, seen[i].memory);
    return memory;
}

static void cycle(const char* keep, int cycles) {
    std::vector<Held> seen;
    for (int i = 0; i < cycles; i++) {
        {
            Player player(std::string("prompt=ball seed=1 num-frames=5 steps=1 keep-model=") + keep,
                          "video/x-raw,width=32,height=32");
            for (int video = 0; video < 1 + i % 2; video++) { // every other time through READY as well
                player.set_state(GST_STATE_READY);
                player.forget();
                player.play();
                if (i % 5 == 3) { // stopped in its middle
                    player.wait([&] { return player.place("progress start") >= 0 || !player.frames.empty(); }, LOADING);
                    continue;
                }
                fail_unless(player.wait_end(LOADING) && player.errors.empty() && player.frames.size() == 5,
                            "cycle %d", i);
            }
            player.set_state(GST_STATE_NULL);
        }
        seen.push_back(held());
    }
    // All that is made once is there after a quarter of them.
    const size_t quarter = seen.size() / 4;
    const Held &first = seen[quarter], &last = seen.back();
    const gint64 before = least(seen, quarter, 2 * quarter), after = least(seen, 3 * quarter, seen.size());
    std::printf("keep-model=%s, %d cycles: %ld KiB, then %ld; %ld threads, then %ld; %d descriptors, then %d\n",
                keep, cycles, long(before), long(after), long(first.threads), long(last.threads),
                first.descriptors, last.descriptors);
    std::fflush(stdout);
    fail_unless(after <= before + std::max(SLACK, LEAK * gint64(2 * quarter)), "memory grows");
    // GStreamer's and GLib's pools of threads grow and shrink by themselves: fewest of the last against most before.
    const auto by_threads = [](const Held& a, const Held& b) { return a.threads < b.threads; };
    const auto most = std::max_element(seen.begin() + ptrdiff_t(quarter),
                                       seen.begin() + ptrdiff_t(2 * quarter), by_threads);
    const auto fewest = std::min_element(seen.begin() + ptrdiff_t(3 * quarter), seen.end(), by_threads);
    fail_unless(fewest->threads <= most->threads + 2, "threads grow");
    fail_unless(last.descriptors <= first.descriptors, "descriptors grow");
}

static gint64 weights_of_the_model() { // KiB
    gint64 bytes = 0;
    for (const auto& file : std::filesystem::recursive_directory_iterator(g_getenv("MOTIONCACHE_MODEL")))
        if (file.path().extension() == ".safetensors") bytes += gint64(file.file_size());
    return bytes / 1024;
}

// What the weights took goes back to the system, not only to the allocator: in READY where the model is not kept, else
// in NULL. The second time, so that what is made once is no part of it.
GST_START_TEST(test_memory_goes_back_with_the_model) {
    const gint64 weights = weights_of_the_model();
    for (const char* keep : {"never", "ready"}) {
        gint64 playing = 0, ready = 0, null = 0;
        for (int i = 0; i < 2; i++) {
            Player player(std::string("prompt=ball seed=1 num-frames=5 steps=1 keep-model=") + keep,
                          "video/x-raw,width=32,height=32");
            player.play();
            fail_unless(player.wait_end(LOADING) && player.errors.empty() && player.frames.size() == 5);
            playing = own_status("VmRSS");
            player.set_state(GST_STATE_READY);
            ready = own_status("VmRSS");
            player.set_state(GST_STATE_NULL);
            null = own_status("VmRSS");
        }
        std::printf("keep-model=%s: %ld KiB while it plays, %ld in READY, %ld in NULL; the weights are %ld\n", keep, long(playing),
                    long(ready), long(null), long(weights));
        std::fflush(stdout);
        if (std::string(keep) == "never")
            fail_unless(playing - ready > weights * 3 / 4, "READY keeps the weights");
        else
            fail_unless(ready - null > weights * 3 / 4, "NULL keeps the weights");
    }
}
GST_END_TEST

static int cycles() {
    const char* text = g_getenv("CYCLES");
    return text ? std::max(8, atoi(text)) : 24;
}

GST_START_TEST(test_a_model_that_is_never_kept) {
    cycle("never", cycles());
}
GST_END_TEST

GST_START_TEST(test_a_model_that_goes_at_null) {
    cycle("ready", cycles());
}
GST_END_TEST

GST_START_TEST(test_a_model_that_stays_for_the_process) {
    cycle("process", cycles());
}
GST_END_TEST

static Suite* cycles_suite(void) {
    Suite* suite = suite_create("cycles");
    TCase* tests = tcase_create("general");
    suite_add_tcase(suite, tests);
    tcase_add_test(tests, test_memory_goes_back_with_the_model);
    tcase_add_test(tests, test_a_model_that_is_never_kept);
    tcase_add_test(tests, test_a_model_that_goes_at_null);
    tcase_add_test(tests, test_a_model_that_stays_for_the_process);
    return suite;
}

GST_CHECK_MAIN(cycles)
