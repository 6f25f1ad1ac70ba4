// SPDX-License-Identifier: LGPL-2.1-or-later
// How a stream ends, and what interrupts it without ending it.
#include <gst/base/gstbasesrc.h>

#include "tests/element/player.h"

GST_START_TEST(test_exactly_as_many_frames) {
    use_testpattern();
    for (int wanted : {1, 2, 9, 10, 57, 100}) {
        Player player("prompt=ball num-frames=" + std::to_string(wanted));
        player.play_to_end();
        fail_unless(player.eos && player.errors.empty());
        fail_unless_equals_int(int(player.frames.size()), wanted);
    }
}
GST_END_TEST

GST_START_TEST(test_num_frames_of_the_model) {
    use_testpattern();
    Player player;
    player.play_to_end();
    fail_unless_equals_int(int(player.frames.size()), 57);
    fail_unless_equals_int(int(player.chunks.size()), 5);
    int frames = 0;
    for (const Chunk& c : player.chunks) {
        fail_unless_equals_int(int(c.first_frame), frames);
        frames += c.frames;
    }
    fail_unless_equals_int(frames, 57);
    fail_unless_equals_int64(player.chunks.back().forwards, player.chunks.back().forwards_total);
    fail_unless(player.place("chunk 0") < player.place("frame"));
}
GST_END_TEST

GST_START_TEST(test_num_buffers) {
    use_testpattern();
    Player player("prompt=ball num-buffers=5");
    player.play_to_end();
    fail_unless(player.eos && player.errors.empty());
    fail_unless_equals_int(int(player.frames.size()), 5);
}
GST_END_TEST

// What gst-launch-1.0 -e does at Ctrl-C.
GST_START_TEST(test_eos_while_loading) {
    use_testpattern("load-ms=10000");
    Player player;
    player.play();
    fail_unless(player.wait_log("progress start", 2));
    sleep_ms(50);
    const auto begin = Clock::now();
    gst_element_send_event(player.pipeline, gst_event_new_eos());
    fail_unless(player.wait_end(2) && player.eos && player.errors.empty());
    fail_unless(player.wait_log("progress canceled", 2)); // gst-launch waits for it
    fail_unless(seconds_since(begin) < 0.5, "EOS took %.3f s", seconds_since(begin));
    fail_unless(player.frames.empty());
}
GST_END_TEST

GST_START_TEST(test_eos_in_the_middle_of_a_step) {
    use_testpattern("step-ms=300");
    Player player("prompt=ball steps=2 causal-block-size=1");
    player.play();
    fail_unless(player.wait_frames(1, 5));
    const auto begin = Clock::now();
    gst_element_send_event(player.pipeline, gst_event_new_eos());
    fail_unless(player.wait_end(2) && player.eos && player.errors.empty());
    fail_unless(seconds_since(begin) < 0.5, "EOS took %.3f s", seconds_since(begin));
    const size_t frames = player.frames.size();

    // The element is not worn out by it.
    player.set_state(GST_STATE_READY);
    player.forget();
    g_object_set(player.gen, "num-frames", 5, nullptr);
    player.play_to_end();
    fail_unless(frames < 57);
    fail_unless_equals_int(int(player.frames.size()), 5);
    fail_unless_equals_int(player.count("progress start"), 0);
}
GST_END_TEST

// unlock is no end: flushes, and since GStreamer 1.24 pauses, call it.
GST_START_TEST(test_a_flush_while_waiting_loses_no_frame) {
    use_testpattern("step-ms=150");
    Player player("prompt=ball steps=2 num-frames=21");
    player.play();
    for (int chunk = 0; chunk < 2; chunk++) {
        if (chunk > 0) fail_unless(player.wait_frames(9, 5));
        sleep_ms(50);
        const auto begin = Clock::now();
        fail_unless(gst_element_send_event(player.gen, gst_event_new_flush_start()));
        fail_unless(seconds_since(begin) < 0.1, "flush-start took %.3f s", seconds_since(begin));
        sleep_ms(20);
        fail_unless(gst_element_send_event(player.gen, gst_event_new_flush_stop(FALSE)));
    }
    fail_unless(player.wait_end() && player.eos && player.errors.empty());
    fail_unless_equals_int(int(player.frames.size()), 21);
    for (guint64 i = 0; i < 21; i++) fail_unless_equals_uint64(player.frames[i].offset, i);
}
GST_END_TEST

static GstPadProbeReturn note_offset(GstPad*, GstPadProbeInfo* info, gpointer offsets) {
    static_cast<std::vector<guint64>*>(offsets)->push_back(GST_BUFFER_OFFSET(GST_PAD_PROBE_INFO_BUFFER(info)));
    return GST_PAD_PROBE_OK;
}

// Frames so large that the streaming thread is writing one nearly always. Counted at the pad: what has passed it a
// flush may take.
GST_START_TEST(test_a_flush_while_a_frame_is_written_loses_none) {
    use_testpattern();
    Player player("prompt=ball num-frames=57", "video/x-raw,width=640,height=480");
    std::vector<guint64> offsets;
    GstPad* pad = gst_element_get_static_pad(player.gen, "src");
    gst_pad_add_probe(pad, GST_PAD_PROBE_TYPE_BUFFER, note_offset, &offsets, nullptr);
    gst_object_unref(pad);
    player.play();
    for (int i = 0; i < 10; i++) {
        fail_unless(player.wait_frames(3 * (i + 1)));
        sleep_ms(1);
        fail_unless(gst_element_send_event(player.gen, gst_event_new_flush_start()));
        sleep_ms(1);
        fail_unless(gst_element_send_event(player.gen, gst_event_new_flush_stop(FALSE)));
    }
    fail_unless(player.wait_end() && player.eos && player.errors.empty());
    player.set_state(GST_STATE_NULL);
    fail_unless_equals_int(int(offsets.size()), 57);
    for (guint64 i = 0; i < 57; i++) fail_unless_equals_uint64(offsets[i], i);
}
GST_END_TEST

// The virtual functions alone, against create() as the streaming thread calls it.
GST_START_TEST(test_unlock_lets_create_return_and_keeps_the_frame) {
    use_testpattern("step-ms=100");
    Player player("prompt=ball steps=2 num-frames=9");
    player.set_state(GST_STATE_PAUSED);
    auto* src = GST_BASE_SRC(player.gen);
    auto* klass = GST_BASE_SRC_GET_CLASS(src);
    std::vector<guint64> offsets;
    // Preroll takes frame 0 and the streaming thread then blocks in the sink; from here the test plays its
    // part.
    fail_unless_equals_int(gst_element_get_state(player.pipeline, nullptr, nullptr, 10 * GST_SECOND),
                           GST_STATE_CHANGE_SUCCESS);
    GstPad* pad = gst_element_get_static_pad(player.gen, "src");
    GstPad* peer = gst_pad_get_peer(pad);
    gst_pad_unlink(pad, peer);
    for (int i = 0; i < 40; i++) {
        if (i % 2) klass->unlock(src);
        GstBuffer* buffer = nullptr;
        const GstFlowReturn flow = klass->create(src, -1, 4096, &buffer);
        if (i % 2) {
            fail_unless_equals_int(flow, GST_FLOW_FLUSHING);
            klass->unlock_stop(src);
        } else if (flow == GST_FLOW_OK) {
            offsets.push_back(GST_BUFFER_OFFSET(buffer));
            gst_pad_push(pad, buffer);
        } else {
            fail_unless_equals_int(flow, GST_FLOW_EOS);
        }
    }
    fail_unless_equals_int(int(offsets.size()), 8);
    for (size_t i = 0; i < offsets.size(); i++) fail_unless_equals_uint64(offsets[i], i + 1);
    gst_object_unref(pad);
    gst_object_unref(peer);
}
GST_END_TEST

// Since GStreamer 1.24 pausing a live source does that; a flush between create() and the push does it in any version.
GST_START_TEST(test_a_frame_that_the_base_class_throws_away_comes_again) {
    use_testpattern();
    Player player("prompt=ball num-frames=9");
    player.set_state(GST_STATE_PAUSED);
    auto* src = GST_BASE_SRC(player.gen);
    auto* klass = GST_BASE_SRC_GET_CLASS(src);
    fail_unless_equals_int(gst_element_get_state(player.pipeline, nullptr, nullptr, 10 * GST_SECOND),
                           GST_STATE_CHANGE_SUCCESS);
    for (int i = 0; i < 20; i++) {
        GstBuffer* buffer = nullptr;
        fail_unless_equals_int(klass->create(src, -1, 4096, &buffer), GST_FLOW_OK);
        fail_unless_equals_uint64(GST_BUFFER_OFFSET(buffer), 1);
        gst_buffer_unref(buffer);
        klass->unlock(src);
        klass->unlock_stop(src);
    }
    player.play_to_end();
    fail_unless_equals_int(int(player.frames.size()), 9);
    for (guint64 i = 0; i < 9; i++) fail_unless_equals_uint64(player.frames[i].offset, i);
}
GST_END_TEST

// What is finished when Ctrl-C comes is in the file.
GST_START_TEST(test_finished_chunks_are_delivered_before_an_early_end) {
    use_testpattern();
    Player player("prompt=ball num-frames=5000 queue-chunks=4");
    player.set_state(GST_STATE_PAUSED);
    fail_unless(player.wait_log("chunk 5", 5)); // one at the sink, four in the queue, one ready to go in
    gst_element_send_event(player.pipeline, gst_event_new_eos());
    player.play();
    fail_unless(player.wait_end() && player.eos && player.errors.empty());
    fail_unless_equals_int(int(player.frames.size()), 9 + 5 * 12);
}
GST_END_TEST

static Suite* ending_suite(void) {
    Suite* suite = suite_create("ending");
    TCase* tests = tcase_create("general");
    suite_add_tcase(suite, tests);
    tcase_add_test(tests, test_exactly_as_many_frames);
    tcase_add_test(tests, test_num_frames_of_the_model);
    tcase_add_test(tests, test_num_buffers);
    tcase_add_test(tests, test_eos_while_loading);
    tcase_add_test(tests, test_eos_in_the_middle_of_a_step);
    tcase_add_test(tests, test_a_flush_while_waiting_loses_no_frame);
    tcase_add_test(tests, test_a_frame_that_the_base_class_throws_away_comes_again);
    tcase_add_test(tests, test_finished_chunks_are_delivered_before_an_early_end);
    tcase_add_test(tests, test_a_flush_while_a_frame_is_written_loses_none);
    tcase_add_test(tests, test_unlock_lets_create_return_and_keeps_the_frame);
    return suite;
}

GST_CHECK_MAIN(ending)
