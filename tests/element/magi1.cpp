// SPDX-License-Identifier: LGPL-2.1-or-later
// End to end with a MAGI-1 model of random weights: 24 frames per chunk, given pictures and videos, refusals.
#include <gdk-pixbuf/gdk-pixbuf.h>
#include <glib/gstdio.h>

#include <filesystem>

#include "tests/element/player.h"
#include "tests/model/small_magi1.h"

constexpr double LOADING = 120; // seconds, on a machine that builds something else meanwhile

static std::string folder; // of the model
static const std::string small = "video/x-raw,width=48,height=32";

static std::string line(const std::string& settings, const std::string& path = folder) {
    return "prompt=\"a red ball bouncing over green hills\" seed=5 steps=8 cache=none threads=1 model-path=" +
           path + " " + settings;
}

static void run_to_end(Player& player) {
    player.set_state(GST_STATE_READY);
    player.forget();
    player.play();
    fail_unless(player.wait_end(LOADING), "neither EOS nor an error");
}

static std::vector<Frame> frames_of(const std::string& settings, int count) {
    Player player(line(settings), small);
    run_to_end(player);
    fail_unless(player.eos && player.errors.empty(), "%s",
                player.errors.empty() ? "no EOS" : player.errors[0].message.c_str());
    fail_unless_equals_int(int(player.frames.size()), count);
    return player.frames;
}

static void check_refused(const std::string& settings, int code, const char* text,
                          const std::string& caps = small) {
    Player player(line(settings), caps);
    run_to_end(player);
    fail_unless_equals_int(int(player.errors.size()), 1);
    const Failure& e = player.errors[0];
    fail_unless(e.domain == GST_RESOURCE_ERROR && e.code == code && e.message.find(text) != std::string::npos,
                "%s %d: %s", g_quark_to_string(e.domain), e.code, e.message.c_str());
    fail_unless(player.frames.empty());
}

GST_START_TEST(test_frames_leave_24_by_24) {
    Player player(line("num-frames=60"), small);
    run_to_end(player);
    fail_unless(player.eos && player.errors.empty(), "%s",
                player.errors.empty() ? "no EOS" : player.errors[0].message.c_str());
    fail_unless_equals_int(int(player.frames.size()), 60);
    fail_unless_equals_int(int(player.chunks.size()), 3);
    for (int i = 0; i < 3; i++) {
        const Chunk& chunk = player.chunks[i];
        fail_unless(chunk.index == i && chunk.first_frame == 24 * i && chunk.frames == (i < 2 ? 24 : 12));
        fail_unless(chunk.forwards == 8 + 2 * i && chunk.forwards_total == 12);
        // Told before its first frame.
        fail_unless(player.place("chunk " + std::to_string(i)) < player.place_of_frame(size_t(24 * i)));
    }
    for (size_t i = 0; i < player.frames.size(); i++)
        fail_unless_equals_uint64(player.frames[i].pts, gst_util_uint64_scale(i, GST_SECOND, 24));
    const auto before = player.frames;
    run_to_end(player); // still loaded
    fail_unless_equals_int(player.count("progress start"), 0);
    fail_unless(same_bytes(before, player.frames));
}
GST_END_TEST

GST_START_TEST(test_the_model_says_size_and_length) {
    Player player(line("num-frames=1", folder + "/small.json")); // as well as the folder
    run_to_end(player);
    fail_unless(player.eos && player.errors.empty(), "%s",
                player.errors.empty() ? "no EOS" : player.errors[0].message.c_str());
    fail_unless_equals_int(int(player.frames.at(0).bytes.size()), 96 * 64 * 3 / 2);
    gint64 length = 0;
    Player other(line(""), small);
    other.play();
    fail_unless(other.wait([&] { return !other.chunks.empty() || !other.errors.empty(); }, LOADING));
    fail_unless(gst_element_query_duration(other.pipeline, GST_FORMAT_TIME, &length));
    fail_unless_equals_int64(length, 4 * GST_SECOND);
}
GST_END_TEST

GST_START_TEST(test_a_stream_without_end_goes_on_and_stops_at_once) {
    Player player(line("num-frames=-1"), small);
    player.play();
    fail_unless(player.wait_frames(24 * 8, 2 * LOADING));
    fail_unless(player.errors.empty() && !player.eos);
    fail_unless(player.chunks.at(7).forwards_total == -1);
    const auto begin = Clock::now();
    player.set_state(GST_STATE_NULL);
    fail_unless(seconds_since(begin) < 10, "NULL took %.3f s", seconds_since(begin));
}
GST_END_TEST

GST_START_TEST(test_a_prompt_changes_at_the_border_of_a_chunk) {
    Player player(line("num-frames=-1"), small);
    player.play();
    fail_unless(player.wait([&] { return !player.chunks.empty(); }, LOADING));
    g_object_set(player.gen, "prompt", "a white boat moving left on the sea", nullptr);
    fail_unless(player.wait([&] { return player.prompts.size() >= 2; }, 2 * LOADING));
    fail_unless(player.prompts[0].frame == 0 &&
                player.prompts[1].prompt == "a white boat moving left on the sea");
    fail_unless(player.prompts[1].frame > 0 && player.prompts[1].frame % 24 == 0);
    player.set_state(GST_STATE_NULL);
    fail_unless(player.errors.empty() && player.warnings.empty());
}
GST_END_TEST

GST_START_TEST(test_a_picture_or_a_video_comes_before) {
    const std::string picture = folder + "/picture.png", video = folder + "/before.ogg",
                      sound = folder + "/sound.ogg";
    GdkPixbuf* pixbuf = gdk_pixbuf_new(GDK_COLORSPACE_RGB, FALSE, 8, 60, 40);
    gdk_pixbuf_fill(pixbuf, 0x40a0f0ff);
    fail_unless(gdk_pixbuf_save(pixbuf, picture.c_str(), "png", nullptr, nullptr));
    g_object_unref(pixbuf);
    const auto write = [](const std::string& pipeline) {
        GstElement* writing = gst_parse_launch(pipeline.c_str(), nullptr);
        fail_unless(writing != nullptr);
        gst_element_set_state(writing, GST_STATE_PLAYING);
        GstBus* bus = gst_element_get_bus(writing);
        GstMessage* end = gst_bus_timed_pop_filtered(bus, 60 * GST_SECOND,
                                                     GstMessageType(GST_MESSAGE_EOS | GST_MESSAGE_ERROR));
        fail_unless(end && GST_MESSAGE_TYPE(end) == GST_MESSAGE_EOS, "%s", pipeline.c_str());
        gst_message_unref(end);
        gst_object_unref(bus);
        gst_element_set_state(writing, GST_STATE_NULL);
        gst_object_unref(writing);
    };
    // At another rate than the model's, and of another shape.
    write(
        "videotestsrc pattern=ball num-buffers=60 ! video/x-raw,width=80,height=48,framerate=30/1 ! theoraenc ! oggmux ! "
        "filesink location=" +
        video);
    write("audiotestsrc num-buffers=20 ! vorbisenc ! oggmux ! filesink location=" + sound);

    const auto plain = frames_of("num-frames=24", 24),
               from_picture = frames_of("num-frames=24 image=" + picture, 24),
               from_video = frames_of("num-frames=24 prefix-video=" + video, 24);
    fail_unless(!same_bytes(plain, from_picture) && !same_bytes(plain, from_video));
    fail_unless(same_bytes(from_video, frames_of("num-frames=24 prefix-video=" + video, 24)));

    check_refused("prefix-video=" + folder + "/absent.ogg", GST_RESOURCE_ERROR_NOT_FOUND,
                  "absent.ogg does not exist");
    check_refused("prefix-video=" + folder + "/small.json", GST_RESOURCE_ERROR_READ,
                  "small.json is not a video");
    check_refused("prefix-video=" + sound, GST_RESOURCE_ERROR_READ, "sound.ogg has no pictures");
    check_refused("prefix-video=" + picture, GST_RESOURCE_ERROR_SETTINGS, "prefix-video has 1 frames");
    check_refused("prefix-video=" + video + " image=" + picture, GST_RESOURCE_ERROR_SETTINGS,
                  "image and prefix-video");
}
GST_END_TEST

GST_START_TEST(test_what_the_model_lacks_is_refused_by_name) {
    check_refused("shift=5", GST_RESOURCE_ERROR_SETTINGS, "shift is for SkyReels-V2, not for MAGI-1");
    check_refused("steps=10", GST_RESOURCE_ERROR_SETTINGS,
                  "steps is 10, which this distilled model was not trained for");
    check_refused("special-tokens=bright", GST_RESOURCE_ERROR_SETTINGS, "special-tokens names \"bright\"");
    check_refused("guidance-scale=6", GST_RESOURCE_ERROR_SETTINGS, "guidance-scale has no effect");
    check_refused("kv-queries=chunk", GST_RESOURCE_ERROR_SETTINGS,
                  "kv-queries=chunk is set but no keys are compressed");
    check_refused("kv-budget=1 cache=motioncache", GST_RESOURCE_ERROR_SETTINGS, "take cache=flowcache");
    fail_unless(!frames_of("num-frames=24 kv-budget=1 kv-queries=tokens cache=flowcache", 24).empty());

    // A side of 16 pixels does no model of it.
    Player narrow(line(""), "video/x-raw,width=16,height=32");
    run_to_end(narrow);
    fail_unless_equals_int(int(narrow.errors.size()), 1);
    fail_unless(narrow.errors[0].domain == GST_CORE_ERROR &&
                    narrow.errors[0].message.find("ask for 32x32") != std::string::npos,
                "%s", narrow.errors[0].message.c_str());
}
GST_END_TEST

GST_START_TEST(test_parts_that_are_not_there_are_named_with_every_place) {
    namespace fs = std::filesystem;
    fs::rename(folder + "/t5", folder + "/t5-elsewhere");
    check_refused("", GST_RESOURCE_ERROR_NOT_FOUND,
                  "names a text encoder (t5_pretrained) that is not there; looked for");
    fs::rename(folder + "/t5-elsewhere", folder + "/t5");
    fs::rename(folder + "/special_tokens.npz", folder + "/tokens.npz");
    check_refused("", GST_RESOURCE_ERROR_NOT_FOUND, "special_tokens.npz");
    fs::rename(folder + "/tokens.npz", folder + "/special_tokens.npz");
}
GST_END_TEST

static Suite* magi1_suite(void) {
    Suite* suite = suite_create("magi1");
    TCase* tests = tcase_create("general");
    suite_add_tcase(suite, tests);
    tcase_add_test(tests, test_frames_leave_24_by_24);
    tcase_add_test(tests, test_the_model_says_size_and_length);
    tcase_add_test(tests, test_a_stream_without_end_goes_on_and_stops_at_once);
    tcase_add_test(tests, test_a_prompt_changes_at_the_border_of_a_chunk);
    tcase_add_test(tests, test_a_picture_or_a_video_comes_before);
    tcase_add_test(tests, test_what_the_model_lacks_is_refused_by_name);
    tcase_add_test(tests, test_parts_that_are_not_there_are_named_with_every_place);
    return suite;
}

int main(int argc, char** argv) {
    // Before tests are run in processes of their own.
    mc::test::TemporaryFolder temporary;
    folder = temporary.path;
    mc::test::write_small_magi1(folder);
    gst_check_init(&argc, &argv);
    return gst_check_run_suite(magi1_suite(), "magi1", __FILE__);
}
