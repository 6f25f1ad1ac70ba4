// SPDX-License-Identifier: LGPL-2.1-or-later
// A live stream: on the clock, evenly spaced, with a latency that holds, and with an underrun that is as declared. The
// test pattern takes `steps` times `step-ms` for a chunk of 12 frames (9 at first), which last 120 ms at 100 a second.
#include <gst/base/gstbasesrc.h>

#include <atomic>

#include "tests/element/player.h"

static const char* const FAST = "video/x-raw,framerate=100/1,width=16,height=16";
constexpr GstClockTime INTERVAL = GST_SECOND / 100;

static gint64 stat(GstElement* gen, const char* name) {
    GstStructure* stats = nullptr;
    g_object_get(gen, "stats", &stats, nullptr);
    gint64 value = -1;
    fail_unless(gst_structure_get_int64(stats, name, &value), "stats has no %s", name);
    gst_structure_free(stats);
    return value;
}

struct Latency {
    gboolean live;
    GstClockTime least, most;
};
static Latency latency_of(GstElement* element) {
    GstQuery* query = gst_query_new_latency();
    fail_unless(gst_element_query(element, query));
    Latency l{};
    gst_query_parse_latency(query, &l.live, &l.least, &l.most);
    gst_query_unref(query);
    return l;
}

static void expect_every_frame_once(const std::vector<Frame>& frames, size_t count) {
    fail_unless_equals_int(int(frames.size()), int(count));
    for (guint64 i = 0; i < count; i++) fail_unless_equals_uint64(frames[i].offset, i);
}

static void expect_forward(const std::vector<Frame>& frames) {
    for (size_t i = 1; i < frames.size(); i++)
        fail_unless(frames[i].pts >= frames[i - 1].pts + frames[i - 1].duration, "frame %zu goes back", i);
}

static void expect_on_time(const std::vector<Frame>& frames, GstClockTime tolerance) {
    for (size_t i = 0; i < frames.size(); i++) {
        fail_unless(frames[i].arrival >= frames[i].pts, "frame %zu left too early", i);
        fail_unless(frames[i].arrival <= frames[i].pts + tolerance, "frame %zu left %" GST_TIME_FORMAT " late", i,
                    GST_TIME_ARGS(frames[i].arrival - frames[i].pts));
    }
}

GST_START_TEST(test_frames_are_on_the_clock_and_evenly_spaced) {
    use_testpattern("load-ms=100,step-ms=5");
    Player player("prompt=ball is-live=true steps=4 num-frames=93", FAST);
    fail_unless_equals_int(player.set_state(GST_STATE_PAUSED), GST_STATE_CHANGE_NO_PREROLL);
    sleep_ms(400); // the queue fills while paused
    fail_unless(player.frames.empty());
    player.play_to_end();
    expect_every_frame_once(player.frames, 93);
    fail_unless(player.frames[0].discont);
    const GstClockTime begin = player.frames[0].pts;
    fail_unless(begin < 200 * GST_MSECOND, "a pause is not part of the running time");
    for (guint64 i = 0; i < 93; i++) {
        fail_unless_equals_uint64(player.frames[i].pts, begin + i * INTERVAL);
        fail_unless_equals_uint64(player.frames[i].duration, INTERVAL);
        fail_unless(i == 0 || !player.frames[i].discont);
    }
    expect_on_time(player.frames, 120 * GST_MSECOND);
    fail_unless_equals_int64(stat(player.gen, "underruns"), 0);
}
GST_END_TEST

GST_START_TEST(test_latency_is_a_chunk_until_it_is_measured) {
    use_testpattern("step-ms=50");
    Player player("prompt=ball is-live=true steps=4 num-frames=93 queue-chunks=3 causal-block-size=3", FAST);
    player.play();
    fail_unless(player.wait_frames(1));
    Latency l = latency_of(player.gen);
    fail_unless(l.live);
    fail_unless_equals_uint64(l.least, 12 * INTERVAL);
    fail_unless(l.most >= 3 * 9 * INTERVAL);
    const int told = player.count("latency");
    fail_unless(player.wait_frames(40));
    l = latency_of(player.gen); // 200 ms per chunk, and what the machine adds to that
    fail_unless(l.least >= 200 * GST_MSECOND && l.least < GST_SECOND, "%" GST_TIME_FORMAT, GST_TIME_ARGS(l.least));
    fail_unless(l.most >= l.least);
    fail_unless(l.least % INTERVAL == 0);
    fail_unless(player.count("latency") > told);
}
GST_END_TEST

GST_START_TEST(test_latency_can_be_declared) {
    use_testpattern("step-ms=20");
    Player player("prompt=ball is-live=true steps=4 num-frames=45 latency=500 queue-chunks=7", FAST);
    player.play_to_end();
    const Latency l = latency_of(player.gen);
    fail_unless_equals_uint64(l.least, 500 * GST_MSECOND);
    fail_unless_equals_uint64(l.most, 7 * 12 * INTERVAL);
}
GST_END_TEST

// 240 ms for a chunk of 120 ms, from here on.
static const char* const TOO_SLOW = "step-ms=60";

GST_START_TEST(test_underrun_wait_goes_on_at_the_time_that_it_is) {
    use_testpattern(TOO_SLOW);
    Player player("prompt=ball is-live=true steps=4 num-frames=57 latency=30 underrun=wait", FAST);
    player.play_to_end();
    expect_every_frame_once(player.frames, 57);
    expect_forward(player.frames);
    expect_on_time(player.frames, 100 * GST_MSECOND);
    int gaps = 0;
    for (size_t i = 1; i < 57; i++) {
        const bool first = (i + 3) % 12 == 0; // of a chunk
        const GstClockTime gap = player.frames[i].pts - player.frames[i - 1].pts;
        fail_unless(player.frames[i].discont == (gap != INTERVAL));
        fail_unless(!player.frames[i].discont || first);
        gaps += player.frames[i].discont;
    }
    fail_unless(gaps >= 3, "%d gaps", gaps);
    fail_unless_equals_int64(stat(player.gen, "underruns"), gaps);
}
GST_END_TEST

GST_START_TEST(test_underrun_repeat_holds_the_rate) {
    use_testpattern(TOO_SLOW);
    Player player("prompt=ball is-live=true steps=4 num-frames=57 latency=30 underrun=repeat", FAST);
    player.play_to_end();
    const auto& frames = player.frames;
    fail_unless(frames.size() > 57 + 30, "%zu frames", frames.size());
    size_t made = 1, jumps = 0; // where the machine, and not the engine, was held up; each is marked
    for (size_t i = 1; i < frames.size(); i++) {
        if (frames[i].discont) {
            jumps++;
            fail_unless(frames[i].pts > frames[i - 1].pts + INTERVAL);
        } else {
            fail_unless_equals_uint64(frames[i].pts, frames[i - 1].pts + INTERVAL);
        }
        if (frames[i].offset == frames[i - 1].offset)
            fail_unless(frames[i].bytes == frames[i - 1].bytes);
        else
            fail_unless_equals_uint64(frames[i].offset, made++);
    }
    fail_unless_equals_int(int(made), 57);
    fail_unless(jumps <= 3, "%zu jumps", jumps);
    fail_unless_equals_int64(stat(player.gen, "frames-repeated"), gint64(frames.size()) - 57);
    gint64 runs = 0; // of repeated ones
    for (size_t i = 1; i < frames.size(); i++)
        runs += frames[i].offset == frames[i - 1].offset && (i == 1 || frames[i - 1].offset != frames[i - 2].offset);
    const gint64 underruns = stat(player.gen, "underruns");
    fail_unless(runs > 2 && underruns >= runs && underruns <= runs + gint64(jumps),
                "%" G_GINT64_FORMAT " underruns, %" G_GINT64_FORMAT " times repeated", underruns, runs);
    expect_on_time(frames, 100 * GST_MSECOND);
}
GST_END_TEST

GST_START_TEST(test_underrun_slow_stretches_the_frames) {
    use_testpattern(TOO_SLOW);
    Player player("prompt=ball is-live=true steps=4 num-frames=93 latency=100 underrun=slow", FAST);
    player.play_to_end();
    const auto& frames = player.frames;
    expect_every_frame_once(frames, 93);
    expect_forward(frames);
    expect_on_time(frames, 200 * GST_MSECOND);
    // The pace is known after the second chunk.
    int gaps = 0;
    for (size_t i = 33; i < 81; i++) {
        gaps += frames[i].discont;
        fail_unless(frames[i].duration > 12 * GST_MSECOND, "frame %zu lasts %" GST_TIME_FORMAT, i,
                    GST_TIME_ARGS(frames[i].duration));
        if (!frames[i].discont && (i + 3) % 12 > 1)
            fail_unless(frames[i].duration - frames[i - 1].duration + 1 <= 2); // rounding
    }
    fail_unless(gaps <= 1, "%d gaps", gaps);
}
GST_END_TEST

GST_START_TEST(test_pause_and_resume_lose_no_frame) {
    use_testpattern("step-ms=5");
    Player player("prompt=ball is-live=true steps=4 num-frames=141", FAST);
    player.play();
    GRand* random = g_rand_new_with_seed(7);
    for (int i = 0; i < 12; i++) {
        fail_unless(player.wait_frames(10 * (i + 1)));
        sleep_ms(g_rand_int_range(random, 0, 12));
        player.set_state(GST_STATE_PAUSED);
        sleep_ms(15);
        const size_t before = player.frames.size();
        sleep_ms(30);
        fail_unless_equals_int(int(player.frames.size()), int(before));
        player.play();
    }
    g_rand_free(random);
    fail_unless(player.wait_end() && player.eos && player.errors.empty());
    expect_every_frame_once(player.frames, 141);
    expect_forward(player.frames);
}
GST_END_TEST

// What PLAYING to PAUSED does to a live source since GStreamer 1.24.
GST_START_TEST(test_an_interrupted_wait_keeps_the_frame) {
    use_testpattern("step-ms=5");
    Player player("prompt=ball is-live=true steps=4 num-frames=57", FAST);
    player.play();
    for (int i = 0; i < 20; i++) {
        fail_unless(player.wait_frames(2 * (i + 1)));
        fail_unless(gst_element_send_event(player.gen, gst_event_new_flush_start()));
        sleep_ms(3);
        fail_unless(gst_element_send_event(player.gen, gst_event_new_flush_stop(FALSE)));
    }
    fail_unless(player.wait_end() && player.eos && player.errors.empty());
    expect_every_frame_once(player.frames, 57);
    expect_forward(player.frames);
}
GST_END_TEST

struct Hold {
    std::atomic<bool> reached{false}, released{false};
    static GstPadProbeReturn first_frame(GstPad*, GstPadProbeInfo*, gpointer user) {
        auto* hold = static_cast<Hold*>(user);
        if (!hold->reached.exchange(true))
            while (!hold->released) sleep_ms(1);
        return GST_PAD_PROBE_OK;
    }
};

// create() returns a frame and the base class throws it away: a pause since GStreamer 1.24, or a flush just then. The
// streaming thread is held with frame 0, and the test plays its part.
GST_START_TEST(test_a_frame_that_is_thrown_away_comes_again) {
    use_testpattern();
    Player player("prompt=ball is-live=true num-frames=45", FAST);
    GstPad* pad = gst_element_get_static_pad(player.gen, "src");
    Hold hold;
    gst_pad_add_probe(pad, GST_PAD_PROBE_TYPE_BUFFER, Hold::first_frame, &hold, nullptr);
    player.play();
    for (int i = 0; i < 2000 && !hold.reached; i++) sleep_ms(10);
    fail_unless(hold.reached);
    auto* src = GST_BASE_SRC(player.gen);
    auto* klass = GST_BASE_SRC_GET_CLASS(src);
    GstClockTime pts = 0;
    for (int i = 0; i < 20; i++) {
        GstBuffer* buffer = nullptr;
        fail_unless_equals_int(klass->create(src, -1, 4096, &buffer), GST_FLOW_OK);
        fail_unless_equals_uint64(GST_BUFFER_OFFSET(buffer), 1);
        fail_unless(GST_BUFFER_PTS(buffer) >= pts);
        pts = GST_BUFFER_PTS(buffer);
        gst_buffer_unref(buffer);
        klass->unlock(src);
        klass->unlock_stop(src);
    }
    hold.released = true;
    gst_object_unref(pad);
    fail_unless(player.wait_end() && player.eos && player.errors.empty());
    expect_every_frame_once(player.frames, 45);
    expect_forward(player.frames);
}
GST_END_TEST

GST_START_TEST(test_eos_ends_a_live_stream_at_once) {
    use_testpattern();
    Player player("prompt=ball is-live=true num-frames=5000 queue-chunks=50", "video/x-raw,framerate=10/1");
    player.play();
    fail_unless(player.wait_frames(3));
    const auto begin = Clock::now();
    gst_element_send_event(player.pipeline, gst_event_new_eos());
    fail_unless(player.wait_end(2) && player.eos && player.errors.empty());
    fail_unless(seconds_since(begin) < 1, "EOS took %.3f s", seconds_since(begin));
}
GST_END_TEST

GST_START_TEST(test_a_source_added_to_a_running_pipeline_is_on_time) {
    use_testpattern("step-ms=5");
    Player player("prompt=ball is-live=true steps=4 num-frames=45", FAST);
    GstElement* other = gst_parse_launch("fakesrc is-live=true datarate=1000 sizetype=fixed ! fakesink", nullptr);
    GstElement* outer = gst_pipeline_new("outer");
    gst_bin_add(GST_BIN(outer), other);
    gst_element_set_state(outer, GST_STATE_PLAYING);
    sleep_ms(500);
    gst_bin_add(GST_BIN(outer), GST_ELEMENT(gst_object_ref(player.pipeline)));
    gst_element_sync_state_with_parent(player.pipeline);
    fail_unless(player.wait_frames(45));
    fail_unless(player.frames[0].pts >= 450 * GST_MSECOND, "%" GST_TIME_FORMAT, GST_TIME_ARGS(player.frames[0].pts));
    expect_on_time(player.frames, 150 * GST_MSECOND);
    gst_element_set_state(outer, GST_STATE_NULL);
    gst_bin_remove(GST_BIN(outer), player.pipeline);
    gst_object_unref(outer);
}
GST_END_TEST

GST_START_TEST(test_without_a_clock_frames_follow_each_other) {
    use_testpattern("step-ms=5");
    for (const char* underrun : {"wait", "repeat", "slow"}) {
        Player player(std::string("prompt=ball is-live=true steps=4 num-frames=45 underrun=") + underrun, FAST);
        gst_pipeline_use_clock(GST_PIPELINE(player.pipeline), nullptr);
        player.play_to_end();
        expect_every_frame_once(player.frames, 45);
        expect_forward(player.frames);
        fail_unless_equals_uint64(player.frames[0].pts, 0);
    }
}
GST_END_TEST

// As an application does when the clock is lost.
GST_START_TEST(test_another_clock_is_followed) {
    use_testpattern("step-ms=5");
    Player player("prompt=ball is-live=true steps=4 num-frames=93", FAST);
    player.play();
    fail_unless(player.wait_frames(20));
    player.set_state(GST_STATE_PAUSED);
    auto* other = GST_CLOCK(g_object_new(GST_TYPE_SYSTEM_CLOCK, "clock-type", GST_CLOCK_TYPE_REALTIME, nullptr));
    gst_pipeline_use_clock(GST_PIPELINE(player.pipeline), other);
    player.play();
    fail_unless(player.wait_end() && player.eos && player.errors.empty());
    expect_every_frame_once(player.frames, 93);
    expect_forward(player.frames);
    fail_unless(player.frames.back().pts < 5 * GST_SECOND);
    gst_object_unref(other);
}
GST_END_TEST

static Suite* live_suite(void) {
    Suite* suite = suite_create("live");
    TCase* tests = tcase_create("general");
    suite_add_tcase(suite, tests);
    tcase_add_test(tests, test_frames_are_on_the_clock_and_evenly_spaced);
    tcase_add_test(tests, test_latency_is_a_chunk_until_it_is_measured);
    tcase_add_test(tests, test_latency_can_be_declared);
    tcase_add_test(tests, test_underrun_wait_goes_on_at_the_time_that_it_is);
    tcase_add_test(tests, test_underrun_repeat_holds_the_rate);
    tcase_add_test(tests, test_underrun_slow_stretches_the_frames);
    tcase_add_test(tests, test_pause_and_resume_lose_no_frame);
    tcase_add_test(tests, test_an_interrupted_wait_keeps_the_frame);
    tcase_add_test(tests, test_a_frame_that_is_thrown_away_comes_again);
    tcase_add_test(tests, test_eos_ends_a_live_stream_at_once);
    tcase_add_test(tests, test_a_source_added_to_a_running_pipeline_is_on_time);
    tcase_add_test(tests, test_without_a_clock_frames_follow_each_other);
    tcase_add_test(tests, test_another_clock_is_followed);
    return suite;
}

GST_CHECK_MAIN(live)
