// SPDX-License-Identifier: LGPL-2.1-or-later
// A sink that keeps time: what the latency that it was told is worth, and what it tells the source in return. The test
// pattern takes `steps` times `step-ms` for a chunk of 12 frames (9 at first), which last 120 ms at 100 a second.
#include <gst/base/gstbasesink.h>

#include <cmath>

#include "tests/element/player.h"

static const char* const FAST = "video/x-raw,framerate=100/1,width=16,height=16";
constexpr GstClockTime INTERVAL = GST_SECOND / 100;
constexpr gint64 LATEST = 20 * GST_MSECOND; // a sink drops what comes later, as one for a screen does

static gint64 underruns(const Player& player) {
    GstStructure* stats = nullptr;
    g_object_get(player.gen, "stats", &stats, nullptr);
    gint64 value = -1;
    fail_unless(gst_structure_get_int64(stats, "underruns", &value));
    gst_structure_free(stats);
    return value;
}

struct Sink {
    explicit Sink(const Player& player) : element(gst_bin_get_by_name(GST_BIN(player.pipeline), "sink")) {
        g_object_set(element, "sync", TRUE, "qos", TRUE, "max-lateness", LATEST, nullptr);
    }
    ~Sink() { gst_object_unref(element); }
    Sink(const Sink&) = delete;
    guint64 count(const char* of) const {
        GstStructure* stats = nullptr;
        g_object_get(element, "stats", &stats, nullptr);
        guint64 value = 0;
        fail_unless(gst_structure_get_uint64(stats, of, &value), "a sink has no %s", of);
        gst_structure_free(stats);
        return value;
    }
    GstElement* element;
};

// By how much each frame leaves the source after it is due.
struct Lateness {
    explicit Lateness(const Player& player) : gen(player.gen) {
        GstPad* pad = gst_element_get_static_pad(gen, "src");
        gst_pad_add_probe(pad, GST_PAD_PROBE_TYPE_BUFFER, note, this, nullptr);
        gst_object_unref(pad);
    }
    static GstPadProbeReturn note(GstPad*, GstPadProbeInfo* info, gpointer user) {
        auto* self = static_cast<Lateness*>(user);
        GstClock* clock = gst_element_get_clock(self->gen);
        const GstClockTime now = gst_clock_get_time(clock) - gst_element_get_base_time(self->gen);
        gst_object_unref(clock);
        const GstClockTime due = GST_BUFFER_PTS(GST_PAD_PROBE_INFO_BUFFER(info));
        self->most = std::max(self->most, GstClockTimeDiff(now) - GstClockTimeDiff(due));
        return GST_PAD_PROBE_OK;
    }
    GstElement* gen;
    GstClockTimeDiff most = G_MININT64;
};

static void expect_each_at_its_time(const Player& player, const Sink& sink, int count, GstClockTime latency) {
    fail_unless_equals_int(int(player.frames.size()), count);
    fail_unless_equals_uint64(sink.count("rendered"), guint64(count));
    fail_unless_equals_uint64(sink.count("dropped"), 0);
    for (size_t i = 0; i < player.frames.size(); i++) {
        const Frame& frame = player.frames[i];
        fail_unless_equals_uint64(frame.offset, i);
        fail_unless_equals_uint64(frame.pts, player.frames[0].pts + i * INTERVAL);
        const GstClockTimeDiff late = GST_CLOCK_DIFF(frame.pts + latency, frame.arrival);
        fail_unless(late >= 0 && late < 100 * GstClockTimeDiff(GST_MSECOND), "frame %zu is shown %+.1f ms after its time", i,
                    double(late) / GST_MSECOND);
    }
}

// Each chunk takes twice as long as it lasts, so that every one leaves the source later than the one before: up to the
// latency that was told that is none of the viewer's business.
GST_START_TEST(test_frames_that_are_late_by_less_than_the_latency_are_shown_on_time) {
    use_testpattern("step-ms=60");
    Player player("prompt=ball is-live=true steps=4 num-frames=45 latency=1200", FAST);
    const Sink sink(player);
    const Lateness late(player);
    player.play_to_end();
    fail_unless(player.errors.empty());
    expect_each_at_its_time(player, sink, 45, 1200 * GST_MSECOND);
    fail_unless(late.most > 250 * GstClockTimeDiff(GST_MSECOND), "none was late");
    fail_unless_equals_int64(underruns(player), 0);
}
GST_END_TEST

// What the element tells by itself is enough where chunks take less time than they last.
GST_START_TEST(test_the_latency_that_is_told_by_itself_is_enough) {
    use_testpattern("step-ms=5");
    Player player("prompt=ball is-live=true steps=4 num-frames=93", FAST);
    const Sink sink(player);
    player.play_to_end();
    fail_unless(player.errors.empty());
    const GstClockTime latency = gst_base_sink_get_latency(GST_BASE_SINK(sink.element));
    fail_unless(latency > 0);
    expect_each_at_its_time(player, sink, 93, latency);
}
GST_END_TEST

// A sink, or an element that pretends to be one, says how it fares. The source makes what was asked for all the same: a
// frame that is left out saves nothing once it is made, and what follows the clock is qos-cache.
static void send_everything(GstPad* pad, GstClockTime now) {
    for (const GstQOSType type : {GST_QOS_TYPE_OVERFLOW, GST_QOS_TYPE_UNDERFLOW, GST_QOS_TYPE_THROTTLE})
        for (const double proportion : {0., 1e-300, 0.1, 1., 100., 1e300, double(INFINITY), double(NAN)})
            for (const GstClockTimeDiff late :
                 {G_MININT64 + 1, -3600 * GstClockTimeDiff(GST_SECOND), GstClockTimeDiff(0),
                  3600 * GstClockTimeDiff(GST_SECOND), G_MAXINT64})
                for (const GstClockTime stamp :
                     {GstClockTime(0), now, now + 3600 * GST_SECOND, GST_CLOCK_TIME_NONE - 1})
                    if (late >= 0 || stamp >= GstClockTime(-late)) // GStreamer makes no other event
                        gst_pad_push_event(pad, gst_event_new_qos(type, proportion, late, stamp));
}

GST_START_TEST(test_quality_of_service_leaves_no_frame_out) {
    for (const bool live : {true, false}) {
        use_testpattern("step-ms=5");
        Player player(std::string("prompt=ball steps=4 num-frames=93 is-live=") + (live ? "true" : "false"), FAST);
        GstElement* sink = gst_bin_get_by_name(GST_BIN(player.pipeline), "sink");
        GstPad* pad = gst_element_get_static_pad(sink, "sink");
        player.play();
        for (size_t seen = 1; seen < 93; seen += 9) {
            fail_unless(player.wait_frames(seen));
            send_everything(pad, seen * INTERVAL);
        }
        fail_unless(player.wait_end() && player.eos && player.errors.empty());
        gst_object_unref(pad);
        gst_object_unref(sink);
        fail_unless_equals_int(int(player.warnings.size()), 1); // that it is a test pattern
        fail_unless_equals_int(int(player.frames.size()), 93);
        for (size_t i = 0; i < 93; i++) {
            fail_unless_equals_uint64(player.frames[i].offset, i);
            fail_unless_equals_uint64(player.frames[i].duration, INTERVAL);
            fail_unless_equals_uint64(player.frames[i].pts, player.frames[0].pts + i * INTERVAL);
        }
        if (live) fail_unless_equals_int64(underruns(player), 0);
    }
}
GST_END_TEST

static Suite* sinks_suite(void) {
    Suite* suite = suite_create("sinks");
    TCase* tests = tcase_create("general");
    suite_add_tcase(suite, tests);
    tcase_add_test(tests, test_frames_that_are_late_by_less_than_the_latency_are_shown_on_time);
    tcase_add_test(tests, test_the_latency_that_is_told_by_itself_is_enough);
    tcase_add_test(tests, test_quality_of_service_leaves_no_frame_out);
    return suite;
}

GST_CHECK_MAIN(sinks)
