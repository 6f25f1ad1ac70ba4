// SPDX-License-Identifier: LGPL-2.1-or-later
// Timestamps, and the queries that applications ask.
#include "tests/element/player.h"

GST_START_TEST(test_timestamps_do_not_drift) {
    use_testpattern();
    Player player("prompt=ball num-frames=200", "video/x-raw,framerate=30000/1001,width=16,height=16");
    player.play_to_end();
    fail_unless_equals_int(int(player.frames.size()), 200);
    for (guint64 i = 0; i < 200; i++) {
        const Frame& f = player.frames[i];
        fail_unless_equals_uint64(f.pts, gst_util_uint64_scale(i, GST_SECOND * 1001, 30000));
        fail_unless_equals_uint64(f.offset, i);
        fail_unless_equals_uint64(f.offset_end, i + 1);
        if (i > 0) fail_unless_equals_uint64(player.frames[i - 1].pts + player.frames[i - 1].duration, f.pts);
    }
}
GST_END_TEST

GST_START_TEST(test_duration_is_known) {
    use_testpattern("step-ms=5");
    Player player("prompt=ball num-frames=48", "video/x-raw,framerate=12/1");
    gint64 duration = -1;
    fail_unless(!gst_element_query_duration(player.gen, GST_FORMAT_TIME, &duration));
    player.set_state(GST_STATE_PAUSED);
    fail_unless_equals_int(gst_element_get_state(player.pipeline, nullptr, nullptr, 10 * GST_SECOND),
                           GST_STATE_CHANGE_SUCCESS);
    fail_unless(gst_element_query_duration(player.pipeline, GST_FORMAT_TIME, &duration));
    fail_unless_equals_int64(duration, 4 * GST_SECOND);
    fail_unless(gst_element_query_duration(player.pipeline, GST_FORMAT_DEFAULT, &duration));
    fail_unless_equals_int64(duration, 48);
    fail_unless(!gst_element_query_duration(player.gen, GST_FORMAT_BYTES, &duration));
}
GST_END_TEST

GST_START_TEST(test_not_live_not_seekable) {
    use_testpattern();
    Player player("prompt=ball num-frames=17");
    player.set_state(GST_STATE_PAUSED);
    fail_unless_equals_int(gst_element_get_state(player.pipeline, nullptr, nullptr, 10 * GST_SECOND),
                           GST_STATE_CHANGE_SUCCESS);

    GstQuery* query = gst_query_new_latency();
    fail_unless(gst_element_query(player.gen, query));
    gboolean live = TRUE;
    GstClockTime least = 1;
    gst_query_parse_latency(query, &live, &least, nullptr);
    gst_query_unref(query);
    fail_unless(!live && least == 0);

    query = gst_query_new_seeking(GST_FORMAT_TIME);
    fail_unless(gst_element_query(player.gen, query));
    gboolean seekable = TRUE;
    gst_query_parse_seeking(query, nullptr, &seekable, nullptr, nullptr);
    gst_query_unref(query);
    fail_unless(!seekable);
    fail_unless(!gst_element_seek_simple(player.pipeline, GST_FORMAT_TIME, GST_SEEK_FLAG_FLUSH, GST_SECOND));

    query = gst_query_new_scheduling();
    fail_unless(gst_element_query(player.gen, query));
    GstSchedulingFlags flags;
    gst_query_parse_scheduling(query, &flags, nullptr, nullptr, nullptr);
    fail_unless(flags & GST_SCHEDULING_FLAG_SEQUENTIAL);
    fail_unless(gst_query_has_scheduling_mode(query, GST_PAD_MODE_PUSH));
    fail_unless(!gst_query_has_scheduling_mode(query, GST_PAD_MODE_PULL));
    gst_query_unref(query);

    // Nor to the element itself: refused without a flush, so that no frame is lost.
    for (GstClockTime to : {GstClockTime(0), GstClockTime(GST_SECOND / 4)})
        fail_unless(!gst_element_seek_simple(player.gen, GST_FORMAT_TIME, GST_SEEK_FLAG_FLUSH, to));
    player.play_to_end();
    fail_unless_equals_int(int(player.frames.size()), 17);
}
GST_END_TEST

static GstPadProbeReturn keep_segment(GstPad*, GstPadProbeInfo* info, gpointer user) {
    GstEvent* event = GST_PAD_PROBE_INFO_EVENT(info);
    if (GST_EVENT_TYPE(event) == GST_EVENT_SEGMENT)
        gst_event_copy_segment(event, static_cast<GstSegment*>(user));
    return GST_PAD_PROBE_OK;
}

GST_START_TEST(test_the_segment_knows_the_duration) {
    use_testpattern();
    Player player("prompt=ball num-frames=12");
    GstSegment segment;
    gst_segment_init(&segment, GST_FORMAT_UNDEFINED);
    GstPad* pad = gst_element_get_static_pad(player.gen, "src");
    gst_pad_add_probe(pad, GST_PAD_PROBE_TYPE_EVENT_DOWNSTREAM, keep_segment, &segment, nullptr);
    gst_object_unref(pad);
    player.play_to_end();
    fail_unless_equals_int(segment.format, GST_FORMAT_TIME);
    fail_unless_equals_uint64(segment.duration, GST_SECOND / 2);
    fail_unless_equals_uint64(segment.start, 0);
}
GST_END_TEST

static Suite* time_suite(void) {
    Suite* suite = suite_create("time");
    TCase* tests = tcase_create("general");
    suite_add_tcase(suite, tests);
    tcase_add_test(tests, test_timestamps_do_not_drift);
    tcase_add_test(tests, test_duration_is_known);
    tcase_add_test(tests, test_not_live_not_seekable);
    tcase_add_test(tests, test_the_segment_knows_the_duration);
    return suite;
}

GST_CHECK_MAIN(time)
