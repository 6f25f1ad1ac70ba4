// SPDX-License-Identifier: LGPL-2.1-or-later
// End to end with the engine and the demo model: few frames, few steps. What is tested elsewhere (parity,
// text, colour) is not tested again; here it is about the two being joined.
#include <gdk-pixbuf/gdk-pixbuf.h>
#include <glib/gstdio.h>

#include <algorithm>
#include <set>

#include "gst/motioncachemeta.h"
#include "tests/element/player.h"

constexpr double LOADING = 120; // seconds, on a machine that builds something else meanwhile

static const std::string red_ball = "prompt=\"a red ball bouncing over green hills\" ";

static void run_to_end(Player& player) {
    player.set_state(GST_STATE_READY);
    player.forget();
    player.play();
    fail_unless(player.wait_end(LOADING), "neither EOS nor an error");
}

static void check_video(const Player& player, int frames) {
    fail_unless(player.eos && player.errors.empty(), "%s",
                player.errors.empty() ? "no EOS" : player.errors[0].message.c_str());
    fail_unless_equals_int(int(player.frames.size()), frames);
}

static void check_error(const Player& player, int code, const char* text) {
    fail_unless_equals_int(int(player.errors.size()), 1);
    const Failure& e = player.errors[0];
    fail_unless(e.domain == GST_RESOURCE_ERROR && e.code == code && e.message.find(text) != std::string::npos,
                "%s %d: %s", g_quark_to_string(e.domain), e.code, e.message.c_str());
}

// Chunks leave as soon as they are finished: at the defaults well before the transformer is done.
GST_START_TEST(test_the_first_frame_leaves_early) {
    Player player(red_ball);
    player.play();
    fail_unless(player.wait([&] { return !player.frames.empty() || !player.errors.empty(); }, 280));
    fail_unless(player.errors.empty());
    const Chunk first_chunk = player.chunks[0];
    fail_unless(first_chunk.forwards_total >= 100);
    fail_unless(first_chunk.forwards < 0.65 * first_chunk.forwards_total,
                "%" G_GINT64_FORMAT " of %" G_GINT64_FORMAT " forwards", first_chunk.forwards,
                first_chunk.forwards_total);

    // It is in the middle of a step now.
    const auto begin = Clock::now();
    player.set_state(GST_STATE_NULL);
    fail_unless(seconds_since(begin) < 5, "NULL took %.3f s", seconds_since(begin));
    fail_unless(player.frames.size() < 57 && player.errors.empty());
    const int next = player.place("chunk 1");
    fail_unless(next < 0 || player.place("frame") < next);
}
GST_END_TEST

GST_START_TEST(test_stop_while_loading) {
    Player player(red_ball);
    player.play();
    fail_unless(player.wait_log("progress continue", LOADING));
    const auto begin = Clock::now();
    player.set_state(GST_STATE_NULL);
    fail_unless(seconds_since(begin) < 5, "NULL took %.3f s", seconds_since(begin));
    fail_unless(player.frames.empty() && player.errors.empty());
}
GST_END_TEST

GST_START_TEST(test_the_same_request_is_the_same_video) {
    Player player(red_ball + "seed=11 steps=2 num-frames=10", "video/x-raw,width=64,height=48");
    run_to_end(player);
    check_video(player, 10);
    const auto before = player.frames;
    gint64 used = -1;
    g_object_get(player.gen, "seed-used", &used, nullptr);
    fail_unless_equals_int64(used, 11);
    // A picture, no plane of one colour.
    const std::set<char> luma(before[0].bytes.begin(), before[0].bytes.begin() + 64 * 48);
    fail_unless(luma.size() > 16, "%zu different values", luma.size());

    run_to_end(player);
    check_video(player, 10);
    fail_unless_equals_int(player.count("progress start"), 0); // still loaded
    fail_unless(same_bytes(before, player.frames));

    g_object_set(player.gen, "seed", G_GINT64_CONSTANT(12), nullptr);
    run_to_end(player);
    fail_unless(!same_bytes(before, player.frames));

    g_object_set(player.gen, "seed", G_GINT64_CONSTANT(11), "prompt",
                 "a white rocket going up among the stars", nullptr);
    run_to_end(player);
    fail_unless(!same_bytes(before, player.frames));
}
GST_END_TEST

GST_START_TEST(test_the_formats_show_the_same_picture) {
    std::vector<std::string> luma;
    for (const char* format : {"I420", "NV12", "RGB"}) {
        Player player(red_ball + "seed=11 steps=2 num-frames=1",
                      std::string("video/x-raw,width=64,height=48,format=") + format);
        run_to_end(player);
        check_video(player, 1);
        const std::string& bytes = player.frames[0].bytes;
        if (std::string(format) == "RGB") {
            for (int i = 0; i < 64 * 48; i++) {
                const auto* p = reinterpret_cast<const guint8*>(bytes.data()) + 3 * i;
                const double y = 16 + (46.559 * p[0] + 156.629 * p[1] + 15.812 * p[2]) / 255; // BT.709
                fail_unless(ABS(y - guint8(luma[0][i])) < 2, "pixel %d is %d, expected %.1f", i,
                            guint8(luma[0][i]), y);
            }
        } else {
            luma.push_back(bytes.substr(0, 64 * 48));
        }
    }
    fail_unless(luma[0] == luma[1]);
}
GST_END_TEST

GST_START_TEST(test_an_image_starts_the_video) {
    gchar* folder = g_dir_make_tmp("motioncache-XXXXXX", nullptr);
    gchar* file = g_build_filename(folder, "picture.png", nullptr);
    GdkPixbuf* picture = gdk_pixbuf_new(GDK_COLORSPACE_RGB, FALSE, 8, 160, 96);
    gdk_pixbuf_fill(picture, 0x1060c0ff);
    fail_unless(gdk_pixbuf_save(picture, file, "png", nullptr, nullptr));
    g_object_unref(picture);

    Player player(red_ball + "seed=11 steps=2 num-frames=5 causal-block-size=3 image=" + file,
                  "video/x-raw,format=RGB");
    run_to_end(player);
    check_error(player, GST_RESOURCE_ERROR_SETTINGS, "causal-block-size");

    g_object_set(player.gen, "causal-block-size", 1, "ar-step", 0, nullptr);
    run_to_end(player);
    check_video(player, 5);
    double mean[3] = {};
    for (int i = 0; i < 160 * 96; i++)
        for (int c = 0; c < 3; c++) mean[c] += guint8(player.frames[0].bytes[3 * i + c]) / (160.0 * 96.0);
    // The VAE is lossy; the colour is still that of the picture.
    fail_unless(ABS(mean[0] - 0x10) < 40 && ABS(mean[1] - 0x60) < 40 && ABS(mean[2] - 0xc0) < 40,
                "the first frame is %.0f %.0f %.0f", mean[0], mean[1], mean[2]);
    g_remove(file);
    g_rmdir(folder);
    g_free(file);
    g_free(folder);
}
GST_END_TEST

GST_START_TEST(test_requests_that_cannot_work) {
    const struct {
        const char *settings, *text;
    } cases[] = {
        {"num-frames=200 base-num-frames=57 overlap-history=57", "overlap-history"},
        {"steps=0", "steps"},
        {"shift=0", "shift"},
        {"causal-block-size=0", "causal-block-size"},
    };
    for (const auto& c : cases) {
        Player player(red_ball + c.settings);
        run_to_end(player);
        check_error(player, GST_RESOURCE_ERROR_SETTINGS, c.text);
    }
}
GST_END_TEST

static GstStructure* stats_of(const Player& player) {
    GstStructure* stats = nullptr;
    g_object_get(player.gen, "stats", &stats, nullptr);
    return stats;
}
static gint64 number(const GstStructure* s, const char* field) {
    gint64 value = -1;
    fail_unless(gst_structure_get_int64(s, field, &value), "%s", field);
    return value;
}

// Three chunks of three latent frames, of each of which the first evaluation is computed and three are reused.
GST_START_TEST(test_statistics_of_a_cache) {
    Player player(red_ball + "seed=11 steps=4 ar-step=2 num-frames=33 attention=kv finished-chunks=refreshed "
                             "cache=motioncache cache-threshold=1000 cache-warmup=0 cache-first-share=1",
                  "video/x-raw,width=64,height=48");
    player.play();
    fail_unless(player.wait_log("chunk 0", LOADING));
    GstStructure* stats = stats_of(player); // while it runs
    fail_unless(number(stats, "turns") >= 2 * 4 && number(stats, "frames") >= 9);
    fail_unless(number(stats, "bytes-keys-values") > 0 && number(stats, "bytes-cache") > 0);
    gst_structure_free(stats);
    fail_unless(player.wait_end(LOADING));
    check_video(player, 33);
    player.set_state(GST_STATE_READY); // after the session is gone
    stats = stats_of(player);
    fail_unless_equals_string(gst_structure_get_string(stats, "cache"), "motioncache");
    fail_unless_equals_int64(number(stats, "frames"), 33);
    fail_unless_equals_int64(number(stats, "forwards"), number(stats, "forwards-total"));
    fail_unless_equals_int64(number(stats, "turns"), 3 * 4 * 2);
    fail_unless_equals_int64(number(stats, "turns-whole"), 3 * 2);
    fail_unless_equals_int64(number(stats, "turns-reused"), 3 * 3 * 2);
    fail_unless_equals_int64(number(stats, "turns-partial"), 0);
    fail_unless_equals_int64(number(stats, "passes-extra"), 2 * 2);
    const gint64 tokens = 3 * 4 * 3; // of a chunk
    fail_unless_equals_int64(number(stats, "tokens-computed"), 3 * 2 * tokens);
    fail_unless_equals_int64(number(stats, "tokens-reused"), 3 * 3 * 2 * tokens);
    const auto chunks = chunks_of(stats);
    fail_unless_equals_int(int(chunks.size()), 3);
    for (const char* field : {"turns", "turns-whole", "turns-partial", "turns-reused", "passes-extra",
                              "tokens-computed", "tokens-reused"}) {
        gint64 sum = 0;
        for (guint i = 0; i < 3; i++)
            sum += number(chunks[i], field);
        fail_unless(sum == number(stats, field), "%s", field);
    }
    const GstStructure* last = chunks[2];
    fail_unless_equals_int64(number(last, "first-frame"), 21);
    fail_unless_equals_int64(number(last, "frames"), 12);
    gst_structure_free(stats);
}
GST_END_TEST

struct Seen {
    std::vector<GstMotionCacheFacts> facts; // without their maps
    std::vector<std::vector<guint8>> maps;
};
static void see(GstElement*, GstBuffer* buffer, GstPad*, gpointer user) {
    GstMotionCacheFacts facts;
    fail_unless(gst_motion_cache_facts_read(buffer, &facts));
    auto* seen = static_cast<Seen*>(user);
    seen->facts.push_back(facts);
    seen->maps.emplace_back(facts.computed, facts.computed + facts.map_width * facts.map_height);
}

// Settings of the cache that are set while it plays: statistics and what buffers say of themselves change with the
// frame that the message names, and not before.
GST_START_TEST(test_the_cache_changes_while_playing) {
    Player player(red_ball +
                      "seed=11 steps=4 ar-step=4 num-frames=81 queue-chunks=1 attention=kv cache=motioncache "
                      "cache-threshold=1000 cache-warmup=0 cache-first-share=1",
                  "video/x-raw,width=64,height=48");
    GstElement* sink = gst_bin_get_by_name(GST_BIN(player.pipeline), "sink");
    Seen seen;
    g_signal_connect(sink, "handoff", G_CALLBACK(see), &seen);
    gst_object_unref(sink);
    player.play();
    fail_unless(player.wait_log("chunk 0", LOADING));
    g_object_set(player.gen, "cache-warmup", 2, nullptr);
    g_object_set(player.gen, "cache-reuse", 1, nullptr); // does not
    gst_util_set_object_arg(G_OBJECT(player.gen), "cache-preset", "fast");
    g_object_set(player.gen, "cache-weight-floor", 0.3, "cache-weights", 2, nullptr); // contradict each other
    fail_unless(player.wait_end(LOADING));
    check_video(player, 81);
    fail_unless(player.prompts.size() >= 2); // the next chunk may begin between two settings
    const gint64 begins = player.prompts[1].frame;
    fail_unless(begins >= 9 && begins <= 45 && (begins - 9) % 12 == 0, "%d", int(begins));
    for (size_t i = 0; i < seen.facts.size(); i++) {
        // With warm-up two steps and the one after them; a step has two branches.
        const gint64 whole = gint64(i) < begins ? 2 : 2 * 3;
        fail_unless_equals_int64(seen.facts[i].turns_whole, whole);
        fail_unless_equals_int64(seen.facts[i].turns_reused, 2 * 4 - whole);
    }
    GstStructure* stats = stats_of(player);
    for (const GstStructure* chunk : chunks_of(stats))
        fail_unless_equals_int64(number(chunk, "turns-whole"),
                                 number(chunk, "first-frame") < begins ? 2 : 2 * 3);
    gst_structure_free(stats);
    fail_unless_equals_int(int(player.warnings.size()), 2);
    fail_unless(player.warnings[0].message.find("cache-reuse was changed while") == 0);
    fail_unless(player.warnings[1].message.find("cache-weight-floor is the") == 0);
}
GST_END_TEST

// How much bluer than red the picture is.
static double blue(const Frame& frame) {
    double sum = 0;
    for (size_t i = 0; i + 2 < frame.bytes.size(); i += 3) sum += guint8(frame.bytes[i + 2]) - guint8(frame.bytes[i]);
    return sum / (double(frame.bytes.size()) / 3);
}

// A live stream of the model as it comes: a prompt is set while chunks of another one are under way, the message names
// the frame, and two chunks later the picture is the new prompt's.
GST_START_TEST(test_colours_follow_the_prompt_of_a_live_stream) {
    Player player("prompt=\"an orange ball still in the desert at sunset\" seed=3 num-frames=-1 is-live=true",
                  "video/x-raw,format=RGB");
    player.play();
    fail_unless(player.wait([&] { return !player.frames.empty() || !player.errors.empty(); }, LOADING));
    g_object_set(player.gen, "prompt", "a blue fish still under water", nullptr);
    const int two_chunks = 24;
    const auto there = [&] { // the frame that the message names
        return size_t(std::find_if(player.frames.begin(), player.frames.end(),
                                   [&](const Frame& f) { return f.pts == player.prompts.at(1).pts; }) -
                      player.frames.begin());
    };
    fail_unless(player.wait(
        [&] { return player.prompts.size() > 1 && player.frames.size() >= there() + two_chunks; }, LOADING));
    player.set_state(GST_STATE_NULL);
    fail_unless(player.errors.empty());
    const size_t first = there();
    fail_unless_equals_int64(player.prompts[1].frame, gint64(player.frames[first].offset));
    fail_unless(blue(player.frames[first - 1]) < -30, "%.0f", blue(player.frames[first - 1]));
    fail_unless(blue(player.frames[first + two_chunks - 1]) > 30, "%.0f", blue(player.frames[first + two_chunks - 1]));
}
GST_END_TEST

// With the preset of the demo model: tokens are chosen by their motion, so the map has hills; it adds up to the
// statistics, and is drawn.
GST_START_TEST(test_frames_say_where_they_were_computed) {
    const std::string request = red_ball + "seed=11 num-frames=33 cache-preset=quality"; // which chooses tokens
    Player player(request);
    GstElement* sink = gst_bin_get_by_name(GST_BIN(player.pipeline), "sink");
    Seen seen;
    g_signal_connect(sink, "handoff", G_CALLBACK(see), &seen);
    gst_object_unref(sink);
    run_to_end(player);
    check_video(player, 33);
    GstStructure* stats = stats_of(player);
    const auto chunks = chunks_of(stats);
    fail_unless_equals_int(int(seen.facts.size()), 33);
    int uneven = 0;
    for (size_t i = 0; i < seen.facts.size(); i++) {
        const GstMotionCacheFacts& f = seen.facts[i];
        fail_unless_equals_int64(f.frame, gint64(i));
        const GstStructure* chunk = chunks.at(size_t(f.chunk));
        fail_unless(gint64(i) >= number(chunk, "first-frame") &&
                    gint64(i) < number(chunk, "first-frame") + number(chunk, "frames"));
        fail_unless_equals_int64(f.tokens_computed, number(chunk, "tokens-computed"));
        fail_unless_equals_int64(f.turns_reused, number(chunk, "turns-reused"));
        fail_unless(f.map_width == 10 && f.map_height == 6);
        const auto [low, high] = std::minmax_element(seen.maps[i].begin(), seen.maps[i].end());
        fail_unless(*low > 0); // each token is computed at first
        uneven += *low < *high;
    }
    fail_unless(uneven > 0, "every map is flat");
    gst_structure_free(stats);

    Player drawn(request + " ! motioncacheoverlay");
    run_to_end(drawn);
    check_video(drawn, 33);
    for (size_t i = 0; i < 33; i++) fail_unless(drawn.frames[i].bytes != player.frames[i].bytes);
    Player off(request + " ! motioncacheoverlay enabled=false");
    run_to_end(off);
    fail_unless(same_bytes(off.frames, player.frames));
}
GST_END_TEST

// Each is one error that names the property; without them the next start works.
GST_START_TEST(test_caches_that_cannot_work) {
    const struct {
        const char *settings, *text;
    } cases[] = {
        {"attention=causal cache=motioncache", "cache=motioncache works chunk by chunk"},
        {"attention=full cache=flowcache", "cache=flowcache works chunk by chunk"},
        {"cache=none cache-threshold=0.2", "cache-threshold is set but nothing is cached"},
        {"cache=none cache-preset=fast", "cache-preset is set but nothing is cached"},
        {"cache=teacache cache-vote=0.5", "cache-vote belongs to cache=motioncache"},
        {"cache=teacache attention=full cache-reuse=taylor", "cache-reuse=taylor and solver"},
        {"cache=motioncache cache-threshold=0", "cache-threshold is 0"},
        {"cache=motioncache cache-threshold=0.2 cache-first-share=0", "cache-first-share is 0"},
        {"cache=motioncache cache-threshold=0.2 cache-vote=-0.5", "cache-vote is -0.5"},
        {"cache=motioncache cache-threshold=0.2 cache-weights=mean cache-weight-floor=0.5",
         "cache-weight-floor is the"},
        {"attention=causal finished-chunks=refreshed", "finished-chunks is set but attention is not kv"},
    };
    Player player(red_ball + "num-frames=9 steps=2", "video/x-raw,width=64,height=48");
    for (const auto& c : cases) {
        gchar** words = g_strsplit(c.settings, " ", 0);
        const auto each = [&](const auto& body) {
            for (gchar** word = words; *word; word++) {
                gchar** pair = g_strsplit(*word, "=", 2);
                body(pair[0], pair[1]);
                g_strfreev(pair);
            }
        };
        each([&](const char* name, const char* value) {
            gst_util_set_object_arg(G_OBJECT(player.gen), name, value);
        });
        run_to_end(player);
        sleep_ms(20); // for a second one
        player.set_state(GST_STATE_READY);
        check_error(player, GST_RESOURCE_ERROR_SETTINGS, c.text);
        fail_unless(player.frames.empty() && !player.eos, "%s", c.settings);
        each([&](const char* name, const char*) {
            GParamSpec* spec = g_object_class_find_property(G_OBJECT_GET_CLASS(player.gen), name);
            g_object_set_property(G_OBJECT(player.gen), name, g_param_spec_get_default_value(spec));
        });
        g_strfreev(words);
    }
    run_to_end(player);
    check_video(player, 9);
}
GST_END_TEST

static Suite* demo_model_suite(void) {
    Suite* suite = suite_create("demo_model");
    TCase* tests = tcase_create("general");
    suite_add_tcase(suite, tests);
    tcase_add_test(tests, test_the_first_frame_leaves_early);
    tcase_add_test(tests, test_stop_while_loading);
    tcase_add_test(tests, test_the_same_request_is_the_same_video);
    tcase_add_test(tests, test_the_formats_show_the_same_picture);
    tcase_add_test(tests, test_an_image_starts_the_video);
    tcase_add_test(tests, test_requests_that_cannot_work);
    tcase_add_test(tests, test_statistics_of_a_cache);
    tcase_add_test(tests, test_the_cache_changes_while_playing);
    tcase_add_test(tests, test_colours_follow_the_prompt_of_a_live_stream);
    tcase_add_test(tests, test_frames_say_where_they_were_computed);
    tcase_add_test(tests, test_caches_that_cannot_work);
    return suite;
}

GST_CHECK_MAIN(demo_model)
