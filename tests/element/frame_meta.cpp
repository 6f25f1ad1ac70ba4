// SPDX-License-Identifier: LGPL-2.1-or-later
// What each buffer says of its frame, as gst/motioncachemeta.h has it, and which elements keep it.
#include "gst/motioncachemeta.h"
#include "tests/element/player.h"

namespace {

// Of one buffer, copied.
struct Facts {
    bool any = false;
    GstMotionCacheFacts facts{};
    std::vector<guint8> computed;
    std::vector<gfloat> motion;
};

Facts facts_of(GstBuffer* buffer) {
    Facts f;
    f.any = gst_motion_cache_facts_read(buffer, &f.facts);
    if (!f.any) return f;
    const size_t tokens = size_t(f.facts.map_width * f.facts.map_height);
    f.computed.assign(f.facts.computed, f.facts.computed + tokens);
    if (f.facts.motion) f.motion.assign(f.facts.motion, f.facts.motion + tokens);
    return f;
}

void note(GstElement*, GstBuffer* buffer, GstPad*, gpointer list) {
    static_cast<std::vector<Facts>*>(list)->push_back(facts_of(buffer));
}

// `behind`: elements between ours and the sink, with a "!" at their end.
std::vector<Facts> facts_behind(const std::string& settings, const std::string& behind) {
    const std::string line =
        "motioncachegen seed=3 prompt=ball " + settings + " ! " + behind + " fakesink name=sink signal-handoffs=true";
    GError* error = nullptr;
    GstElement* pipeline = gst_parse_launch(line.c_str(), &error);
    fail_unless(pipeline && !error, "%s", line.c_str());
    GstElement* sink = gst_bin_get_by_name(GST_BIN(pipeline), "sink");
    std::vector<Facts> list;
    g_signal_connect(sink, "handoff", G_CALLBACK(note), &list);
    gst_object_unref(sink);
    gst_element_set_state(pipeline, GST_STATE_PLAYING);
    GstBus* bus = gst_element_get_bus(pipeline);
    GstMessage* message =
        gst_bus_timed_pop_filtered(bus, 20 * GST_SECOND, GstMessageType(GST_MESSAGE_EOS | GST_MESSAGE_ERROR));
    fail_unless(message && GST_MESSAGE_TYPE(message) == GST_MESSAGE_EOS, "%s", line.c_str());
    gst_message_unref(message);
    gst_object_unref(bus);
    gst_element_set_state(pipeline, GST_STATE_NULL);
    gst_object_unref(pipeline);
    return list;
}

} // namespace

GST_START_TEST(test_every_frame_says_what_it_has_cost) {
    use_testpattern("reuse=1");
    const auto list = facts_behind("num-frames=21 steps=4", "");
    fail_unless_equals_int(int(list.size()), 21);
    for (size_t i = 0; i < list.size(); i++) {
        const GstMotionCacheFacts& f = list[i].facts;
        fail_unless(list[i].any);
        fail_unless_equals_int64(f.frame, gint64(i));
        fail_unless_equals_int64(f.chunk, i < 9 ? 0 : 1);
        fail_unless_equals_int64(f.turns, 4 * 2);
        fail_unless_equals_int64(f.turns_whole, 2);
        fail_unless_equals_int64(f.turns_partial, 0);
        fail_unless_equals_int64(f.turns_reused, 6);
        fail_unless_equals_int64(f.passes_extra, 0);
        fail_unless_equals_int64(f.tokens_computed, 2 * 3 * 60);
        fail_unless_equals_int64(f.tokens_reused, 6 * 3 * 60);
        fail_unless_equals_int(f.map_width, 10);
        fail_unless_equals_int(f.map_height, 6);
        int hot = 0;
        for (size_t t = 0; t < 60; t++) {
            hot += list[i].computed[t] == 255;
            fail_unless(list[i].motion[t] == (list[i].computed[t] == 255 ? 1.0f : 0.25f));
        }
        fail_unless(hot > 0 && hot < 20, "%d tokens of a ball", hot);
    }
    fail_unless(list[0].computed != list[20].computed); // it moves
}
GST_END_TEST

GST_START_TEST(test_without_reuse_all_is_computed) {
    use_testpattern();
    for (const Facts& f : facts_behind("num-frames=9 steps=4", "")) {
        fail_unless(f.any && f.motion.empty());
        fail_unless(f.computed == std::vector<guint8>(60, 255));
        fail_unless_equals_int64(f.facts.turns_whole, f.facts.turns);
    }
}
GST_END_TEST

GST_START_TEST(test_converters_keep_it) {
    use_testpattern("reuse=1");
    const auto plain = facts_behind("num-frames=9 steps=4", "");
    for (const char* behind : {"queue !", "identity !", "tee !", "videoconvert ! video/x-raw,format=BGRx !",
                               "videoscale ! video/x-raw,width=100 !", "videobalance contrast=0.5 !",
                               "videoconvertscale ! video/x-raw,width=320,height=192,format=NV12 !"}) {
        const auto list = facts_behind("num-frames=9 steps=4", behind);
        fail_unless_equals_int(int(list.size()), 9);
        for (size_t i = 0; i < list.size(); i++)
            fail_unless(list[i].any && list[i].computed == plain[i].computed && list[i].motion == plain[i].motion &&
                            list[i].facts.frame == gint64(i),
                        "%s", behind);
    }
}
GST_END_TEST

// The meta is of the frame that is seen, also where the stream repeats it.
GST_START_TEST(test_a_repeated_frame_has_it) {
    use_testpattern("step-ms=100");
    const auto list = facts_behind("num-frames=21 steps=4 is-live=true underrun=repeat latency=0", "");
    fail_unless(list.size() > 21);
    gint64 last = -1;
    for (const Facts& f : list) {
        fail_unless(f.any && (f.facts.frame == last || f.facts.frame == last + 1));
        last = f.facts.frame;
    }
    fail_unless_equals_int64(last, 20);
}
GST_END_TEST

GST_START_TEST(test_a_buffer_without_it_says_so) {
    GstBuffer* buffer = gst_buffer_new_allocate(nullptr, 16, nullptr);
    GstMotionCacheFacts facts;
    fail_unless(!gst_motion_cache_facts_read(buffer, &facts)); // perhaps before the plugin is loaded
    gst_object_unref(gst_object_ref_sink(gst_element_factory_make("motioncachegen", nullptr)));
    fail_unless(!gst_motion_cache_facts_read(buffer, &facts));
    // What somebody else put there.
    GstCustomMeta* meta = gst_buffer_add_custom_meta(buffer, GST_MOTION_CACHE_META);
    fail_unless(!gst_motion_cache_facts_read(buffer, &facts));
    GstStructure* s = gst_custom_meta_get_structure(meta);
    for (const char* field : {"chunk", "frame", "turns", "turns-whole", "turns-partial", "turns-reused", "passes-extra",
                              "tokens-computed", "tokens-reused"})
        gst_structure_set(s, field, G_TYPE_INT64, G_GINT64_CONSTANT(1), nullptr);
    const guint8 map[4] = {};
    GBytes *four = g_bytes_new(map, 4), *three = g_bytes_new(map, 3);
    gst_structure_set(s, "map-width", G_TYPE_INT, 2, "map-height", G_TYPE_INT, 2, "computed", G_TYPE_BYTES,
                      three, nullptr);
    fail_unless(!gst_motion_cache_facts_read(buffer, &facts));
    gst_structure_set(s, "computed", G_TYPE_BYTES, four, nullptr);
    fail_unless(gst_motion_cache_facts_read(buffer, &facts));
    gst_structure_set(s, "motion", G_TYPE_BYTES, four, nullptr);
    fail_unless(!gst_motion_cache_facts_read(buffer, &facts));
    gst_structure_remove_field(s, "motion");
    gst_structure_set(s, "map-width", G_TYPE_INT, -2, "map-height", G_TYPE_INT, -2, nullptr);
    fail_unless(!gst_motion_cache_facts_read(buffer, &facts));
    g_bytes_unref(three);
    g_bytes_unref(four);
    gst_buffer_unref(buffer);
}
GST_END_TEST

static Suite* frame_meta_suite(void) {
    Suite* suite = suite_create("frame_meta");
    TCase* tests = tcase_create("general");
    suite_add_tcase(suite, tests);
    tcase_add_test(tests, test_every_frame_says_what_it_has_cost);
    tcase_add_test(tests, test_without_reuse_all_is_computed);
    tcase_add_test(tests, test_converters_keep_it);
    tcase_add_test(tests, test_a_repeated_frame_has_it);
    tcase_add_test(tests, test_a_buffer_without_it_says_so);
    return suite;
}

GST_CHECK_MAIN(frame_meta)
