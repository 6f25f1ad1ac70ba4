// SPDX-License-Identifier: LGPL-2.1-or-later
// motioncacheoverlay: the map lies where it belongs, in every format, and nothing else is touched.
#include <cmath>

#include "gst/heat_map.h"
#include "gst/motioncachemeta.h"
#include "tests/element/player.h"
#include <gst/check/gstharness.h>

using mc::gst::heat;

namespace {

constexpr int WIDTH = 160, HEIGHT = 96, TOKEN = 16, COLUMNS = WIDTH / TOKEN, ROWS = HEIGHT / TOKEN;

struct Shown {
    std::string rgb; // HEIGHT x WIDTH x 3
    std::vector<guint8> map;
};

void note(GstElement*, GstBuffer* buffer, GstPad* pad, gpointer list) {
    GstCaps* caps = gst_pad_get_current_caps(pad);
    GstVideoInfo info;
    gst_video_info_from_caps(&info, caps);
    gst_caps_unref(caps);
    GstVideoFrame frame;
    fail_unless(gst_video_frame_map(&frame, &info, buffer, GST_MAP_READ));
    Shown shown;
    const auto* data = static_cast<const char*>(GST_VIDEO_FRAME_PLANE_DATA(&frame, 0));
    const int stride = GST_VIDEO_FRAME_PLANE_STRIDE(&frame, 0);
    for (int y = 0; y < GST_VIDEO_FRAME_HEIGHT(&frame); y++)
        shown.rgb.append(data + y * stride, size_t(GST_VIDEO_FRAME_WIDTH(&frame)) * 3);
    gst_video_frame_unmap(&frame);
    GstMotionCacheFacts facts;
    if (gst_motion_cache_facts_read(buffer, &facts))
        shown.map.assign(facts.computed, facts.computed + facts.map_width * facts.map_height);
    static_cast<std::vector<Shown>*>(list)->push_back(shown);
}

// What a pipeline shows that ends in RGB.
std::vector<Shown> show(const std::string& source, const std::string& filters) {
    const std::string line =
        source + " ! " + filters + "videoconvert ! video/x-raw,format=RGB ! fakesink name=sink signal-handoffs=true";
    GError* error = nullptr;
    GstElement* pipeline = gst_parse_launch(line.c_str(), &error);
    fail_unless(pipeline && !error, "%s: %s", line.c_str(), error ? error->message : "");
    GstElement* sink = gst_bin_get_by_name(GST_BIN(pipeline), "sink");
    std::vector<Shown> list;
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
    fail_unless(!list.empty());
    return list;
}

const std::string BALL = "motioncachegen prompt=ball seed=3 num-frames=3 steps=4";

int distance(const std::string& rgb, int x, int y, mc::gst::Colour c) {
    const auto* p = reinterpret_cast<const guint8*>(rgb.data()) + 3 * (y * WIDTH + x);
    return std::max({std::abs(p[0] - c.r), std::abs(p[1] - c.g), std::abs(p[2] - c.b)});
}

int brightness(mc::gst::Colour c) {
    return 2 * c.r + 5 * c.g + c.b;
}

// The first pixel that differs, none: -1.
int differs(const std::string& a, const std::string& b, int from, int to) {
    for (int i = 3 * from; i < 3 * to; i++)
        if (a[size_t(i)] != b[size_t(i)]) return i / 3;
    return -1;
}

} // namespace

GST_START_TEST(test_colours_are_lighter_the_more_there_is) {
    int before = -1;
    for (int i = 0; i <= 100; i++) {
        const int now = brightness(heat(i / 100.0));
        fail_unless(now > before, "%d", i);
        before = now;
    }
    fail_unless(brightness(heat(-3)) == brightness(heat(0)) && brightness(heat(7)) == brightness(heat(1)));
}
GST_END_TEST

GST_START_TEST(test_each_token_has_its_colour) {
    use_testpattern("reuse=1");
    for (const Shown& frame :
         show(BALL,
              "video/x-raw,format=RGB ! motioncacheoverlay opacity=1 scale=whole show-legend=false ! ")) {
        fail_unless_equals_int(int(frame.map.size()), COLUMNS * ROWS);
        for (int y = 0; y < HEIGHT; y++)
            for (int x = 0; x < WIDTH; x++) {
                const int value = frame.map[size_t((y / TOKEN) * COLUMNS + x / TOKEN)];
                fail_unless(distance(frame.rgb, x, y, heat(value / 255.0)) <= 1, "%d %d", x, y);
            }
    }
}
GST_END_TEST

GST_START_TEST(test_the_scale_is_that_of_the_frame) {
    const std::string draw = "video/x-raw,format=RGB ! motioncacheoverlay opacity=1 show-legend=false ! ";
    use_testpattern("reuse=1");
    const Shown ball = show(BALL, draw)[0];
    use_testpattern(); // all is computed: there is nothing to stretch
    const Shown flat = show(BALL, draw)[0];
    for (int y = 0; y < HEIGHT; y++)
        for (int x = 0; x < WIDTH; x++) {
            const bool hot = ball.map[size_t((y / TOKEN) * COLUMNS + x / TOKEN)] == 255;
            fail_unless(distance(ball.rgb, x, y, heat(hot ? 1 : 0)) <= 1, "%d %d", x, y);
            fail_unless(distance(flat.rgb, x, y, heat(1)) <= 1, "%d %d", x, y);
        }
}
GST_END_TEST

GST_START_TEST(test_motion_can_be_drawn) {
    const std::string draw =
        "video/x-raw,format=RGB ! motioncacheoverlay map=motion scale=whole opacity=1 show-legend=false ! ";
    use_testpattern("reuse=1");
    const Shown ball = show(BALL, draw)[0];
    for (int y = 0; y < HEIGHT; y++)
        for (int x = 0; x < WIDTH; x++) {
            const bool moves = ball.map[size_t((y / TOKEN) * COLUMNS + x / TOKEN)] == 255;
            fail_unless(distance(ball.rgb, x, y, heat(moves ? 1 : 0.25)) <= 1, "%d %d", x, y);
        }
}
GST_END_TEST

GST_START_TEST(test_every_format_is_drawn_on) {
    use_testpattern("reuse=1");
    const std::string draw = "motioncacheoverlay opacity=1 scale=whole show-legend=false ! ";
    GstElement* overlay = gst_element_factory_make("motioncacheoverlay", nullptr);
    gst_object_ref_sink(overlay);
    GstPad* pad = gst_element_get_static_pad(overlay, "sink");
    GstCaps* caps = gst_pad_get_pad_template_caps(pad);
    const GValue* formats = gst_structure_get_value(gst_caps_get_structure(caps, 0), "format");
    const guint count = gst_value_list_get_size(formats);
    fail_unless(count >= 10);
    for (guint i = 0; i < count; i++) {
        const std::string format = g_value_get_string(gst_value_list_get_value(formats, i));
        const auto list = show(BALL, "videoconvert ! video/x-raw,format=" + format + " ! " + draw);
        // Colour is coarse in some of them and lost in one: how bright a token's middle is tells it still.
        const auto bright = [&](size_t token) {
            const int x = int(token) % COLUMNS * TOKEN + TOKEN / 2, y = int(token) / COLUMNS * TOKEN + TOKEN / 2;
            const auto* p = reinterpret_cast<const guint8*>(list[0].rgb.data()) + 3 * (y * WIDTH + x);
            return brightness({p[0], p[1], p[2]});
        };
        int least_hot = G_MAXINT, most_cold = -1;
        for (size_t t = 0; t < list[0].map.size(); t++)
            if (list[0].map[t] == 255) least_hot = std::min(least_hot, bright(t));
            else most_cold = std::max(most_cold, bright(t));
        fail_unless(most_cold >= 0 && least_hot < G_MAXINT && least_hot > most_cold + 300, "%s: %d, %d", format.c_str(),
                    least_hot, most_cold);
    }
    gst_caps_unref(caps);
    gst_object_unref(pad);
    gst_object_unref(overlay);
}
GST_END_TEST

GST_START_TEST(test_opacity_blends) {
    use_testpattern("reuse=1");
    const std::string rgb = "video/x-raw,format=RGB ! ";
    const auto none = show(BALL, rgb)[0].rgb;
    const auto half = show(BALL, rgb + "motioncacheoverlay scale=whole show-legend=false ! ")[0]; // 0.5
    for (int i = 0; i < WIDTH * HEIGHT; i++) {
        const auto* p = reinterpret_cast<const guint8*>(none.data()) + 3 * i;
        const mc::gst::Colour c = heat(half.map[size_t(i / WIDTH / TOKEN * COLUMNS + i % WIDTH / TOKEN)] / 255.0);
        const mc::gst::Colour wanted{guint8((p[0] + c.r) / 2), guint8((p[1] + c.g) / 2), guint8((p[2] + c.b) / 2)};
        fail_unless(distance(half.rgb, i % WIDTH, i / WIDTH, wanted) <= 3, "pixel %d", i);
    }
    fail_unless(show(BALL, rgb + "motioncacheoverlay opacity=0 show-legend=false ! ")[0].rgb == none);
}
GST_END_TEST

GST_START_TEST(test_the_legend_is_in_its_corner) {
    use_testpattern("reuse=1");
    const std::string rgb = "video/x-raw,format=RGB ! ";
    const auto none = show(BALL, rgb)[0].rgb;
    const auto with = show(BALL, rgb + "motioncacheoverlay opacity=0 ! ")[0].rgb;
    int first = HEIGHT, changed = 0;
    for (int y = 0; y < HEIGHT; y++)
        if (differs(none, with, y * WIDTH, (y + 1) * WIDTH) >= 0) {
            first = std::min(first, y);
            changed++;
        }
    fail_unless(changed > 15 && first > HEIGHT / 2, "%d lines from %d on", changed, first);
    for (int y = first; y < HEIGHT; y++) // not in the right tenth
        fail_unless(differs(none, with, y * WIDTH + WIDTH * 9 / 10, (y + 1) * WIDTH) < 0);
    // No room: nothing is drawn.
    const std::string small = "videoscale ! video/x-raw,format=RGB,width=48,height=32 ! ";
    fail_unless(show(BALL, small)[0].rgb == show(BALL, small + "motioncacheoverlay opacity=0 ! ")[0].rgb);
}
GST_END_TEST

GST_START_TEST(test_what_is_not_ours_passes_untouched) {
    use_testpattern("reuse=1");
    fail_unless(show(BALL, "")[0].rgb == show(BALL, "motioncacheoverlay enabled=false ! ")[0].rgb);
    const std::string other = "videotestsrc num-buffers=2 ! video/x-raw,format=I420,width=160,height=96";
    fail_unless(show(other, "")[1].rgb == show(other, "motioncacheoverlay ! ")[1].rgb);
    // Not even copied where somebody else holds it too.
    GstHarness* h = gst_harness_new("motioncacheoverlay");
    gst_harness_set_src_caps_str(h, "video/x-raw,format=GRAY8,width=16,height=16,framerate=16/1");
    GstBuffer* buffer = gst_buffer_new_allocate(nullptr, 256, nullptr);
    gst_buffer_memset(buffer, 0, 9, 256);
    gst_harness_push(h, gst_buffer_ref(buffer));
    GstBuffer* out = gst_harness_pull(h);
    fail_unless(out == buffer);
    gst_buffer_unref(out);
    gst_buffer_unref(buffer);
    gst_harness_teardown(h);
}
GST_END_TEST

GST_START_TEST(test_settings_change_while_it_plays) {
    use_testpattern("step-ms=1");
    GError* error = nullptr;
    GstElement* pipeline =
        gst_parse_launch("motioncachegen prompt=ball num-frames=-1 steps=4 ! motioncacheoverlay name=o ! "
                         "fakesink name=sink signal-handoffs=true",
                         &error);
    fail_unless(pipeline && !error);
    GstElement* overlay = gst_bin_get_by_name(GST_BIN(pipeline), "o");
    gst_element_set_state(pipeline, GST_STATE_PLAYING);
    for (int i = 0; i < 200; i++) {
        g_object_set(overlay, "enabled", i % 3 > 0, "opacity", (i % 10) / 9.0, "show-legend", i % 2, "map",
                     i % 2, "scale", i % 2, nullptr);
        sleep_ms(2);
    }
    GstBus* bus = gst_element_get_bus(pipeline);
    GstMessage* message = gst_bus_pop_filtered(bus, GST_MESSAGE_ERROR);
    fail_unless(!message);
    gst_object_unref(bus);
    gst_element_set_state(pipeline, GST_STATE_NULL);
    gst_object_unref(overlay);
    gst_object_unref(pipeline);
}
GST_END_TEST

static Suite* overlay_suite(void) {
    Suite* suite = suite_create("overlay");
    TCase* tests = tcase_create("general");
    suite_add_tcase(suite, tests);
    tcase_add_test(tests, test_colours_are_lighter_the_more_there_is);
    tcase_add_test(tests, test_each_token_has_its_colour);
    tcase_add_test(tests, test_the_scale_is_that_of_the_frame);
    tcase_add_test(tests, test_motion_can_be_drawn);
    tcase_add_test(tests, test_every_format_is_drawn_on);
    tcase_add_test(tests, test_opacity_blends);
    tcase_add_test(tests, test_the_legend_is_in_its_corner);
    tcase_add_test(tests, test_what_is_not_ours_passes_untouched);
    tcase_add_test(tests, test_settings_change_while_it_plays);
    return suite;
}

GST_CHECK_MAIN(overlay)
