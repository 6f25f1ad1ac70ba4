// SPDX-License-Identifier: LGPL-2.1-or-later
// Streams without end, and prompts that change in them: what is pushed, what is said of it, what is refused.
#include <glib/gstdio.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "tests/element/player.h"

static const char* const RGB = "video/x-raw,format=RGB,width=64,height=64";

// The lowest line of the test pattern has a colour of the prompt.
static std::string strip_of(const Frame& frame) {
    return frame.bytes.substr(frame.bytes.size() - 3, 3);
}

static std::string strip_of(const std::string& prompt) {
    Player player("num-frames=1 prompt=\"" + prompt + "\"", RGB);
    player.play_to_end();
    fail_unless_equals_int(int(player.frames.size()), 1);
    return strip_of(player.frames[0]);
}

static gboolean queue(Player& player, const char* prompt, int frames) {
    gboolean result = FALSE;
    g_signal_emit_by_name(player.gen, "queue-prompt", prompt, frames, &result);
    return result;
}

static std::string write_file(const std::string& text) {
    gchar* name = nullptr;
    const int file = g_file_open_tmp("prompts-XXXXXX.txt", &name, nullptr);
    fail_unless(file >= 0);
    g_close(file, nullptr);
    fail_unless(g_file_set_contents(name, text.data(), gssize(text.size()), nullptr));
    const std::string path = name;
    g_free(name);
    return path;
}

GST_START_TEST(test_without_end) {
    use_testpattern();
    Player player("prompt=ball num-frames=-1 steps=1 causal-block-size=1", "video/x-raw,format=RGB,width=16,height=16");
    player.play();
    fail_unless(player.wait_frames(400));
    gint64 duration = 0;
    fail_unless(!gst_element_query_duration(player.gen, GST_FORMAT_TIME, &duration));
    fail_unless(!gst_element_query_duration(player.gen, GST_FORMAT_DEFAULT, &duration));
    fail_unless(player.wait_frames(4500)); // in chunks of 4: more than are kept
    GstStructure* stats = nullptr;
    g_object_get(player.gen, "stats", &stats, nullptr);
    gint64 frames_total = 0, forwards_total = 0;
    gst_structure_get(stats, "frames-total", G_TYPE_INT64, &frames_total, "forwards-total", G_TYPE_INT64,
                      &forwards_total, nullptr);
    fail_unless(frames_total == -1 && forwards_total == -1);
    auto* chunks = static_cast<GValueArray*>(g_value_get_boxed(gst_structure_get_value(stats, "chunks")));
    fail_unless(chunks->n_values <= 1024 && chunks->n_values >= 1020, "%u", chunks->n_values);
    gst_structure_free(stats);
    fail_unless_equals_int64(player.chunks.back().forwards_total, -1);
    gst_element_send_event(player.pipeline, gst_event_new_eos());
    fail_unless(player.wait_end() && player.errors.empty());
}
GST_END_TEST

GST_START_TEST(test_zero_frames_are_the_models) {
    use_testpattern();
    Player player("prompt=ball num-frames=0");
    player.play_to_end();
    fail_unless_equals_int(int(player.frames.size()), 57);
    int value = -5;
    g_object_get(player.gen, "num-frames", &value, nullptr);
    fail_unless_equals_int(value, 0);
}
GST_END_TEST

// The message names the very frame and its timestamp; the picture changes with it, and nothing is warned of.
GST_START_TEST(test_a_prompt_set_while_playing) {
    use_testpattern();
    const std::string ball = strip_of("ball"), cube = strip_of("cube");
    fail_unless(ball != cube);
    use_testpattern("step-ms=2");
    Player player("prompt=ball num-frames=-1 steps=5", RGB);
    player.play();
    fail_unless(player.wait_frames(30));
    g_object_set(player.gen, "prompt", "cube", "guidance-scale", 3.0, "negative-prompt", "rain",
                 "cache-threshold", 0.25, nullptr);
    fail_unless(player.wait([&] { return player.prompts.size() == 2; }));
    fail_unless(player.wait_frames(size_t(player.prompts[1].frame) + 20));
    player.set_state(GST_STATE_NULL);
    fail_unless_equals_int(int(player.warnings.size()), 1); // that it is a test pattern
    const Prompt& begin = player.prompts[0];
    fail_unless(begin.prompt == "ball" && begin.frame == 0 && begin.pts == 0 && begin.id == 0);
    const Prompt& change = player.prompts[1];
    fail_unless(change.prompt == "cube" && change.id == 4 && change.guidance_scale == 3 &&
                change.cache_threshold == 0.25);
    fail_unless_equals_int(int((change.frame - 9) % 12), 0); // the first of a chunk
    for (size_t i = 0; i < player.frames.size(); i++)
        fail_unless(strip_of(player.frames[i]) == (gint64(i) < change.frame ? ball : cube), "frame %zu", i);
    fail_unless_equals_uint64(player.frames[size_t(change.frame)].pts, change.pts);
    fail_unless(player.place("prompt cube") < player.place_of_frame(size_t(change.frame)));
}
GST_END_TEST

GST_START_TEST(test_what_cannot_be_changed_is_a_warning) {
    use_testpattern("step-ms=2");
    Player player("prompt=ball num-frames=-1 steps=5 guidance-scale=1 cache=none", RGB);
    player.play();
    fail_unless(player.wait_frames(10));
    player.forget();
    const struct {
        const char *property, *value, *text;
    } cases[] = {
        {"prompt", " ", "The new prompt is empty"},
        {"prompt", "ball \xff", "not valid UTF-8"},
        {"guidance-scale", "4", "guidance-scale was 1 or less"},
        {"cache-threshold", "0.5", "nothing is cached"},
        {"cache", "teacache", "nothing is cached"},
        {"cache-reuse", "solver", "cache-reuse was changed while"}, // at the next start
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        if (std::string(cases[i].property) == "prompt") // text as it is, not as a command line has it
            g_object_set(player.gen, "prompt", cases[i].value, nullptr);
        else
            gst_util_set_object_arg(G_OBJECT(player.gen), cases[i].property, cases[i].value);
        fail_unless(player.wait([&] { return player.warnings.size() > i; }), "%s", cases[i].text);
        fail_unless(player.warnings[i].message.find(cases[i].text) != std::string::npos, "%s",
                    player.warnings[i].message.c_str());
    }
    fail_unless(!queue(player, "", 5) && !queue(player, nullptr, 5) && !queue(player, "cube", -1));
    fail_unless(player.wait([&] { return player.warnings.size() == G_N_ELEMENTS(cases) + 3; }));
    fail_unless(player.wait_frames(100) && player.errors.empty() && player.prompts.empty());
}
GST_END_TEST

// A setting of the cache brings all of them, as they are then: also one that is not set any more.
GST_START_TEST(test_settings_of_the_cache_while_playing) {
    use_testpattern("step-ms=2");
    Player player("prompt=ball num-frames=-1 steps=5 cache=motioncache cache-threshold=0.3", RGB);
    player.play();
    const struct {
        const char *property, *value, *cache;
        double threshold;
        const char* comment;
    } cases[] = {
        {"cache-warmup", "3", "motioncache", 0.3, "cache-warmup=3"},
        {"cache-weights", "mean", "motioncache", 0.3, "cache-weights=mean"},
        {"cache-preset", "fast", "motioncache", 0.3, "cache-preset=fast"}, // reads custom before and after
        {"cache-threshold", "-1", "motioncache", 0.1, "cache-warmup=3"},
        {"cache-threshold", "0.2", "motioncache", 0.2, "cache-threshold=0.2"},
        {"cache", "none", "none", 0, "cache=none"},
        {"cache", "teacache", "teacache", 0.2, "cache=teacache"},
        {"cache-vote", "-2", "teacache", 0.2, "cache-vote=-2"},
    };
    size_t changes = 1;
    for (const auto& c : cases) {
        fail_unless(player.wait([&] { return player.prompts.size() == changes; }), "%s", c.property);
        fail_unless(player.wait_frames(size_t(player.prompts.back().frame) + 1));
        gst_util_set_object_arg(G_OBJECT(player.gen), c.property, c.value);
        fail_unless(player.wait([&] { return player.prompts.size() > changes; }), "%s", c.property);
        const Prompt& change = player.prompts.back();
        fail_unless(change.cache == c.cache && std::abs(change.cache_threshold - c.threshold) < 1e-9 &&
                        change.id == gint64(changes),
                    "%s: %s, %g", c.property, change.cache.c_str(), change.cache_threshold);
        fail_unless_equals_int(int((change.frame - 9) % 12), 0); // the first of a chunk
        fail_unless(player.wait([&] { return player.comments.size() > changes; }), "%s", c.property);
        fail_unless(player.comments.back().find(c.comment) != std::string::npos, "%s",
                    player.comments.back().c_str());
        changes++;
    }
    player.set_state(GST_STATE_NULL);
    fail_unless_equals_int(int(player.warnings.size()), 1); // that it is a test pattern
    fail_unless(player.prompts[0].cache == "motioncache" && player.prompts[0].cache_threshold == 0.3);
    fail_unless(player.comments[0].find("cache-warmup") == std::string::npos);
}
GST_END_TEST

// Asked for before there is a session: in the order in which they came.
GST_START_TEST(test_settings_of_the_cache_while_loading) {
    use_testpattern("load-ms=300");
    Player player("prompt=ball num-frames=60 steps=1 cache=motioncache", RGB);
    player.set_state(GST_STATE_PAUSED);
    g_object_set(player.gen, "cache-threshold", 0.3, nullptr);
    g_object_set(player.gen, "cache-warmup", 3, nullptr);
    player.play_to_end();
    fail_unless(player.errors.empty() && player.warnings.size() == 1);
    fail_unless(player.prompts.size() == 1 && player.prompts[0].cache_threshold == 0.3);
    fail_unless(player.comments[0].find("cache-warmup=3") != std::string::npos, "%s",
                player.comments[0].c_str());
}
GST_END_TEST

GST_START_TEST(test_queued_prompts_take_their_turns) {
    use_testpattern("step-ms=1");
    Player player("prompt=ball num-frames=153 steps=2", RGB);
    fail_unless(queue(player, "one", 48)); // waits for the start
    fail_unless(queue(player, "two", 24));
    fail_unless(queue(player, "three", 0));
    player.play_to_end();
    fail_unless_equals_int(int(player.prompts.size()), 3);
    // From the first chunk on; chunks begin with frames 0, 9, 21, ...
    fail_unless(player.prompts[0].prompt == "one" && player.prompts[0].frame == 0);
    fail_unless(player.prompts[1].prompt == "two" && player.prompts[1].frame == 57);
    fail_unless(player.prompts[2].prompt == "three" && player.prompts[2].frame == 81);
    fail_unless(player.errors.empty() && player.frames.size() == 153);

    // The next start begins with the property again; what is cleared does not come.
    player.set_state(GST_STATE_READY);
    player.forget();
    queue(player, "one", 48), queue(player, "two", 24);
    g_signal_emit_by_name(player.gen, "clear-prompts");
    player.play_to_end();
    fail_unless(player.prompts.size() == 1 && player.prompts[0].prompt == "ball");
}
GST_END_TEST

GST_START_TEST(test_clearing_while_playing) {
    use_testpattern("step-ms=2");
    Player player("prompt=ball num-frames=-1 steps=5", RGB);
    queue(player, "one", 36), queue(player, "two", 24);
    player.play();
    fail_unless(player.wait_frames(5));
    g_signal_emit_by_name(player.gen, "clear-prompts");
    fail_unless(player.wait_frames(100));
    fail_unless(player.prompts.size() == 1 && player.prompts[0].prompt == "one");
}
GST_END_TEST

GST_START_TEST(test_a_transition_blends) {
    use_testpattern();
    const std::string ball = strip_of("ball"), cube = strip_of("cube");
    Player player("prompt=ball num-frames=81 steps=1 prompt-transition=1", RGB);
    queue(player, "ball", 33), queue(player, "cube", 0);
    player.play_to_end();
    fail_unless_equals_int(int(player.frames.size()), 81);
    fail_unless(strip_of(player.frames[32]) == ball && strip_of(player.frames[45]) == cube);
    for (int i = 0; i < 3; i++) {
        const int a = guint8(ball[i]), b = guint8(cube[i]), mixed = guint8(strip_of(player.frames[33])[i]);
        fail_unless(ABS(2 * mixed - a - b) <= 1, "%d of %d and %d", mixed, a, b);
    }
}
GST_END_TEST

// Three chunks of both, with a fourth of the way in each; a prompt that comes in the middle begins where that is.
GST_START_TEST(test_a_transition_over_three_chunks) {
    use_testpattern();
    const auto rgb = [](const std::string& strip) {
        return std::array<int, 3>{guint8(strip[0]), guint8(strip[1]), guint8(strip[2])};
    };
    const auto ball = rgb(strip_of("ball")), cube = rgb(strip_of("cube")), star = rgb(strip_of("star"));
    const auto expect = [&](const Player& player, size_t frame, const std::array<int, 3>& from,
                            const std::array<int, 3>& to, int quarters) {
        const auto seen = rgb(strip_of(player.frames[frame]));
        for (size_t i = 0; i < 3; i++) {
            const int wanted = from[i] * (4 - quarters) + to[i] * quarters;
            fail_unless(ABS(4 * seen[i] - wanted) < 4, "frame %zu: %d, of %d and %d", frame, seen[i], from[i], to[i]);
        }
    };
    {
        Player player("prompt=ball num-frames=93 steps=1 prompt-transition=3", RGB);
        queue(player, "ball", 33), queue(player, "cube", 0);
        player.play_to_end();
        fail_unless_equals_int(int(player.frames.size()), 93);
        for (size_t frame = 9; frame < 93; frame++) // chunks of 12 frames, the first of 9
            expect(player, frame, ball, cube, std::clamp((int(frame) - 33 + 12) / 12, 0, 4));
    }
    Player player("prompt=ball num-frames=117 steps=1 prompt-transition=3", RGB);
    queue(player, "ball", 33), queue(player, "cube", 24), queue(player, "star", 0);
    player.play_to_end();
    fail_unless_equals_int(int(player.frames.size()), 117);
    expect(player, 33, ball, cube, 1);
    expect(player, 56, ball, cube, 2);
    const auto middle = rgb(strip_of(player.frames[56]));
    for (size_t frame = 57; frame < 117; frame++)
        expect(player, frame, middle, star, std::min((int(frame) - 57 + 12) / 12, 4));
}
GST_END_TEST

GST_START_TEST(test_a_file_of_prompts) {
    use_testpattern("step-ms=1");
    const std::string path =
        write_file("\xef\xbb\xbf# a story\n\n 2s: one\r\n48f:two: with a colon\nthree\n0.5s : four");
    Player player("num-frames=-1 steps=1 prompts-file=" + path, RGB + std::string(",framerate=24/1"));
    player.play();
    // 48 and 48 frames, 8 s, and the last one to the end.
    fail_unless(player.wait([&] { return player.prompts.size() == 4; }));
    fail_unless(player.wait_frames(400));
    fail_unless_equals_int(int(player.prompts.size()), 4);
    fail_unless(player.prompts[0].prompt == "one" && player.prompts[0].frame == 0);
    fail_unless(player.prompts[1].prompt == "two: with a colon" && player.prompts[1].frame == 57);
    fail_unless(player.prompts[2].prompt == "three" && player.prompts[2].frame == 105, "%d",
                int(player.prompts[2].frame));
    fail_unless(player.prompts[3].prompt == "four" && player.prompts[3].frame == 297, "%d",
                int(player.prompts[3].frame));
    g_unlink(path.c_str());
}
GST_END_TEST

GST_START_TEST(test_bad_files_of_prompts) {
    use_testpattern();
    const struct {
        std::string text, error;
    } cases[] = {
        {"", "has no prompt in it"},
        {"# nothing\n\n", "has no prompt in it"},
        {"a ball\n\n8s:\n", "Line 3 "},
        {"8s:  \n", "Line 1 "},
        {"a ball\n8m: a cube\n", "Line 2 "},
        {"8: a cube\n", "Line 1 "},
        {"-8s: a cube\n", "Line 1 "},
        {"0s: a cube\n", "Line 1 "},
        {"1.5f: a cube\n", "Line 1 "},
        {"1.2.3s: a cube\n", "Line 1 "},
        {"9999999999s: a cube\n", "Line 1 "},
        {"a ball\na cube \xff\n", "Line 2 "},
        {std::string("a ball\0\n", 8), "Line 1 "},
        {"a ball\n" + std::string(1000000, 'x'), "Line 2 "},
    };
    for (const auto& c : cases) {
        const std::string path = write_file(c.text);
        Player player("prompts-file=" + path);
        fail_unless_equals_int(player.set_state(GST_STATE_PLAYING), GST_STATE_CHANGE_FAILURE);
        fail_unless(player.wait([&] { return !player.errors.empty(); }));
        fail_unless(player.errors.size() == 1 && player.errors[0].message.find(c.error) != std::string::npos, "%s",
                    player.errors[0].message.c_str());
        g_unlink(path.c_str());
    }
    for (const char* path : {"/does/not/exist.txt", "/tmp"}) {
        Player player(std::string("prompts-file=") + path);
        player.set_state(GST_STATE_PLAYING);
        fail_unless(player.wait([&] { return !player.errors.empty(); }));
        fail_unless(player.errors[0].message.find(path) != std::string::npos);
    }
}
GST_END_TEST

GST_START_TEST(test_tags_follow_the_prompt) {
    use_testpattern("step-ms=1");
    for (const bool embed : {true, false}) {
        Player player(std::string("prompt=ball seed=7 steps=2 num-frames=57 embed-metadata=") +
                          (embed ? "true" : "false"),
                      RGB);
        queue(player, "cube", 24), queue(player, "star", 0);
        player.play_to_end();
        fail_unless(player.eos && player.errors.empty());
        if (!embed) {
            fail_unless(player.titles.empty() && player.comments.empty());
            continue;
        }
        fail_unless(player.titles == std::vector<std::string>({"cube", "star"}));
        fail_unless(player.comments[0].find("seed=7") != std::string::npos &&
                        player.comments[0].find("steps=2") != std::string::npos &&
                        player.comments[0].find("num-frames=57") != std::string::npos,
                    "%s", player.comments[0].c_str());
        // Before the frame that they are true of.
        fail_unless(player.place("title star") < player.place_of_frame(size_t(player.prompts[1].frame)));
    }
}
GST_END_TEST

static Suite* prompts_suite() {
    Suite* suite = suite_create("prompts");
    TCase* tests = tcase_create("general");
    suite_add_tcase(suite, tests);
    tcase_add_test(tests, test_without_end);
    tcase_add_test(tests, test_zero_frames_are_the_models);
    tcase_add_test(tests, test_a_prompt_set_while_playing);
    tcase_add_test(tests, test_what_cannot_be_changed_is_a_warning);
    tcase_add_test(tests, test_settings_of_the_cache_while_playing);
    tcase_add_test(tests, test_settings_of_the_cache_while_loading);
    tcase_add_test(tests, test_queued_prompts_take_their_turns);
    tcase_add_test(tests, test_clearing_while_playing);
    tcase_add_test(tests, test_a_transition_blends);
    tcase_add_test(tests, test_a_transition_over_three_chunks);
    tcase_add_test(tests, test_a_file_of_prompts);
    tcase_add_test(tests, test_bad_files_of_prompts);
    tcase_add_test(tests, test_tags_follow_the_prompt);
    return suite;
}

GST_CHECK_MAIN(prompts)
