// SPDX-License-Identifier: LGPL-2.1-or-later
// Negotiation: formats, stepped sizes, frame rates, colour; and the memory that downstream offers.
#include "tests/element/player.h"

static GstCaps* caps_of(Player& player) {
    GstPad* pad = gst_element_get_static_pad(player.gen, "src");
    GstCaps* caps = gst_pad_get_current_caps(pad);
    gst_object_unref(pad);
    fail_unless(caps != nullptr, "no caps were negotiated");
    return caps;
}

static void check_caps(Player& player, const char* expected) {
    GstCaps* caps = caps_of(player);
    GstCaps* wanted = gst_caps_from_string(expected);
    fail_unless(gst_caps_is_equal(caps, wanted), "got %s", gst_caps_to_string(caps));
    gst_caps_unref(wanted);
    gst_caps_unref(caps);
}

GST_START_TEST(test_left_open_it_is_the_models) {
    use_testpattern();
    Player player("prompt=ball num-frames=2");
    player.play_to_end();
    check_caps(player, "video/x-raw,format=I420,width=160,height=96,framerate=24/1,pixel-aspect-ratio=1/1,"
                       "interlace-mode=progressive,colorimetry=bt709,chroma-site=mpeg2");
    fail_unless_equals_int(int(player.frames[0].bytes.size()), 160 * 96 * 3 / 2);
}
GST_END_TEST

GST_START_TEST(test_downstream_is_obeyed) {
    use_testpattern();
    const struct {
        const char *filter, *colour;
        size_t bytes;
    } cases[] = {
        {"format=I420,width=320,height=176,framerate=16/1", "colorimetry=bt709,chroma-site=mpeg2",
         320 * 176 * 3 / 2},
        {"format=NV12,width=16,height=16,framerate=30000/1001", "colorimetry=bt709,chroma-site=mpeg2",
         16 * 16 * 3 / 2},
        {"format=RGB,width=48,height=96,framerate=1/2", "colorimetry=sRGB", 48 * 96 * 3},
    };
    for (const auto& c : cases) {
        Player player("prompt=ball num-frames=2", std::string("video/x-raw,") + c.filter);
        player.play_to_end();
        fail_unless(player.errors.empty());
        const std::string expected = std::string("video/x-raw,") + c.filter +
                                     ",pixel-aspect-ratio=1/1,interlace-mode=progressive," + c.colour;
        check_caps(player, expected.c_str());
        fail_unless_equals_int(int(player.frames[0].bytes.size()), int(c.bytes));
    }
}
GST_END_TEST

GST_START_TEST(test_a_range_gives_the_nearest_legal_size) {
    use_testpattern();
    Player player("prompt=ball num-frames=1",
                  "video/x-raw,width=[200,250],height=[1,50],framerate=[1/1,10/1]");
    player.play_to_end();
    fail_unless(player.errors.empty());
    GstCaps* caps = caps_of(player);
    GstVideoInfo info;
    fail_unless(gst_video_info_from_caps(&info, caps));
    gst_caps_unref(caps);
    fail_unless_equals_int(info.width, 208);
    fail_unless_equals_int(info.height, 48);
    fail_unless_equals_int(info.fps_n, 10);
}
GST_END_TEST

// "NV12 160x96 24/1": what the element makes with these elements behind it.
static std::string made_for(const std::string& behind, const char* settings = "prompt=ball num-frames=2") {
    Player player(settings, behind);
    player.play_to_end();
    fail_unless(player.errors.empty(), "%s: %s", behind.c_str(),
                player.errors.empty() ? "" : player.errors[0].message.c_str());
    GstCaps* caps = caps_of(player);
    GstVideoInfo info;
    fail_unless(gst_video_info_from_caps(&info, caps));
    gst_caps_unref(caps);
    gchar* text = g_strdup_printf("%s %dx%d %d/%d", gst_video_format_to_string(GST_VIDEO_INFO_FORMAT(&info)),
                                  info.width, info.height, info.fps_n, info.fps_d);
    std::string made = text;
    g_free(text);
    return made;
}

static void check_made(const char* behind, const char* expected) {
    const std::string made = made_for(behind);
    fail_unless(made == expected, "%s: %s instead of %s", behind, made.c_str(), expected);
}

// A converter names first what is asked for behind it; the model is not to make that.
GST_START_TEST(test_converters_are_left_their_work) {
    use_testpattern();
    const struct {
        const char *behind, *made;
    } cases[] = {
        {"videoscale ! video/x-raw,width=1280,height=720", "I420 160x96 24/1"},
        {"videoscale ! video/x-raw,width=320", "I420 160x96 24/1"},
        {"videoscale ! video/x-raw,width=[200,400],height={112,176}", "I420 160x96 24/1"},
        {"videoscale ! video/x-raw,width=101,height=57", "I420 160x96 24/1"},
        {"videoscale ! video/x-raw,width=320,height=96,pixel-aspect-ratio=1/2", "I420 160x96 24/1"},
        {"videorate ! video/x-raw,framerate=30/1", "I420 160x96 24/1"},
        {"videorate ! video/x-raw,framerate=[25/1,60/1]", "I420 160x96 24/1"},
        {"videoscale ! videorate ! video/x-raw,width=64,height=64,framerate=5/1", "I420 160x96 24/1"},
        {"videorate ! videoscale ! video/x-raw,width=64,height=64,framerate=5/1", "I420 160x96 24/1"},
        {"videoconvert ! videoscale ! videorate ! video/x-raw,format=RGB,width=64,height=64,framerate=5/1",
         "RGB 160x96 24/1"},
        {"videoconvertscale ! video/x-raw,format=NV12,width=640,height=480", "NV12 160x96 24/1"},
        {"videoconvert ! video/x-raw,format=YUY2,colorimetry=bt601", "I420 160x96 24/1"},
        {"capsfilter caps=\"video/x-raw,width=64,height=64;video/x-raw,width=160,height=96\"",
         "I420 160x96 24/1"},
        {"capsfilter caps=\"video/x-raw,framerate=5/1;video/x-raw,format=NV12\"", "NV12 160x96 24/1"},
        {"videoscale ! videocrop left=20 ! video/x-raw,width=300,height=200", "I420 160x96 24/1"},
        {"videorate ! video/x-raw,framerate=0/1", "I420 160x96 24/1"},
        {"videorate drop-only=true ! video/x-raw,framerate=10/1", "I420 160x96 24/1"},
        {"videoscale ! videoflip method=clockwise ! video/x-raw,width=64,height=64", "I420 160x96 24/1"},
        {"videoscale ! x264enc ! video/x-h264,width=320,height=192", "I420 160x96 24/1"},
        {"videobox border-alpha=0 top=-20 ! video/x-raw,height=116", "I420 160x96 24/1"},
        {"videocrop left=16 ! video/x-raw,width=144,height=96", "I420 160x96 24/1"},
        {"aspectratiocrop aspect-ratio=1/1", "I420 160x96 24/1"},
        {"videoscale ! aspectratiocrop aspect-ratio=4/3 ! videoscale ! video/x-raw,width=640,height=480",
         "I420 160x96 24/1"},
        {"compositor ! video/x-raw,width=640,height=360,framerate=10/1", "I420 160x96 24/1"},
        {"queue ! x264enc", "I420 160x96 24/1"},
        {"videoscale ! video/x-raw,width=322,height=182 ! x264enc", "I420 160x96 24/1"},
        {"identity", "I420 160x96 24/1"},
    };
    for (const auto& c : cases) check_made(c.behind, c.made);
}
GST_END_TEST

GST_START_TEST(test_where_downstream_leaves_no_choice_the_nearest_is_made) {
    use_testpattern();
    const struct {
        const char *behind, *made;
    } cases[] = {
        {"video/x-raw,width=320", "I420 320x192 24/1"}, // in proportion
        {"video/x-raw,height=48", "I420 80x48 24/1"},
        {"video/x-raw,width=[100,400]", "I420 160x96 24/1"},
        {"video/x-raw,width=[200,400]", "I420 208x128 24/1"},
        {"video/x-raw,width=[100,400],height=[100,400]", "I420 192x112 24/1"},
        {"video/x-raw,width=320,height=[16,96]", "I420 320x96 24/1"},
        {"video/x-raw,width={64,320,144}", "I420 144x80 24/1"},
        {"video/x-raw,width={[8,40],[250,300]}", "I420 256x160 24/1"},
        {"capsfilter caps=\"video/x-raw,width=640,height=384;video/x-raw,width=176,height=96\"",
         "I420 176x96 24/1"},
        {"video/x-raw,framerate={60/1,25/1,12/1}", "I420 160x96 25/1"},
        {"video/x-raw,framerate=[0/1,20/1]", "I420 160x96 20/1"},
        {"video/x-raw,framerate={0/1,10/1}", "I420 160x96 10/1"},
        {"video/x-raw,format={YUY2,RGB,NV12}", "RGB 160x96 24/1"},
        {"video/x-raw,format={RGB,NV12,I420}", "RGB 160x96 24/1"},
        {"video/x-raw,format={NV12,I420}", "NV12 160x96 24/1"},
        {"video/x-raw,colorimetry=sRGB", "RGB 160x96 24/1"},
        {"video/x-raw,chroma-site={jpeg,mpeg2},format=NV12", "NV12 160x96 24/1"},
        {"video/x-raw,interlace-mode={interleaved,progressive}", "I420 160x96 24/1"},
        {"video/x-raw,pixel-aspect-ratio=[1/2,2/1]", "I420 160x96 24/1"},
        {"videorate drop-only=true ! video/x-raw,framerate=30/1", "I420 160x96 30/1"},
        {"x264enc ! video/x-h264,width=320,height=192", "I420 320x192 24/1"},
        {"videocrop left=16 right=16 ! video/x-raw,width=320", "I420 352x208 24/1"},
        {"videorate ! video/x-raw,width=320,height=176,framerate=10/1", "I420 320x176 24/1"},
        {"videoscale ! video/x-raw,width=320,height=176,framerate=10/1", "I420 160x96 10/1"},
    };
    for (const auto& c : cases) check_made(c.behind, c.made);
}
GST_END_TEST

// So many seconds as the model's rate makes of its frames, regardless of the rate downstream.
GST_START_TEST(test_a_rate_behind_videorate_does_not_shorten_the_video) {
    use_testpattern();
    Player player("prompt=ball num-frames=48", "videorate ! video/x-raw,framerate=30/1");
    player.play_to_end();
    fail_unless(player.errors.empty());
    const Frame& last = player.frames.back();
    const double seconds = double(last.pts + last.duration) / GST_SECOND;
    fail_unless(seconds > 1.95 && seconds < 2.05, "%f s", seconds);
    fail_unless(player.frames.size() >= 59, "%zu frames", player.frames.size());
}
GST_END_TEST

// Only what every branch takes.
GST_START_TEST(test_the_branches_of_a_tee_agree) {
    use_testpattern();
    check_made("tee name=t ! queue ! videoscale ! video/x-raw,width=320,height=240 ! fakesink async=false "
               "t. ! queue",
               "I420 160x96 24/1");
    check_made("tee name=t ! queue ! videoscale ! video/x-raw,width=320,height=240 ! fakesink async=false "
               "t. ! queue ! video/x-raw,format=RGB,width=64,height=64",
               "RGB 64x64 24/1");
}
GST_END_TEST

// While the element negotiates: the model is known, nothing is settled.
struct Questioner {
    GstElement* gen;
    bool asked = false;
};

static GstPadProbeReturn query_with_filter(GstPad*, GstPadProbeInfo* info, gpointer user) {
    auto* questioner = static_cast<Questioner*>(user);
    if (GST_QUERY_TYPE(GST_PAD_PROBE_INFO_QUERY(info)) != GST_QUERY_CAPS) return GST_PAD_PROBE_OK;
    GstPad* pad = gst_element_get_static_pad(questioner->gen, "src");
    GstCaps* filter = gst_caps_from_string("video/x-raw,format=YUY2;video/x-raw,format=RGB,width=[1,40];"
                                           "video/x-raw,format=NV12,width=64,height=64,framerate=9/1");
    GstCaps* caps = gst_pad_query_caps(pad, filter);
    fail_unless_equals_int(int(gst_caps_get_size(caps)), 2);
    fail_unless(gst_caps_is_subset(caps, filter));
    const GstStructure* structure = gst_caps_get_structure(caps, 0); // in the filter's order
    fail_unless_equals_string(gst_structure_get_string(structure, "format"), "RGB");
    const GValue* width = gst_structure_get_value(structure, "width");
    fail_unless_equals_int(gst_value_get_int_range_max(width), 32);
    gst_caps_unref(caps);
    gst_caps_unref(filter);
    gst_object_unref(pad);
    questioner->asked = true;
    return GST_PAD_PROBE_REMOVE;
}

GST_START_TEST(test_the_caps_query_keeps_to_its_filter) {
    use_testpattern();
    Player player("prompt=ball num-frames=1");
    Questioner questioner{player.gen};
    GstElement* sink = gst_bin_get_by_name(GST_BIN(player.pipeline), "sink");
    GstPad* pad = gst_element_get_static_pad(sink, "sink");
    gst_pad_add_probe(pad, GST_PAD_PROBE_TYPE_QUERY_DOWNSTREAM, query_with_filter, &questioner, nullptr);
    gst_object_unref(pad);
    gst_object_unref(sink);
    player.play_to_end();
    fail_unless(player.errors.empty());
    fail_unless(questioner.asked);
}
GST_END_TEST

GST_START_TEST(test_the_template_says_what_cannot_be) {
    GstElementFactory* factory = gst_element_factory_find("motioncachegen");
    fail_unless(factory != nullptr);
    const struct {
        const char* caps;
        bool legal;
    } cases[] = {
        {"video/x-raw,format=I420,width=832,height=480", true},
        {"video/x-raw,format=I420,width=854,height=480", false},
        {"video/x-raw,format=NV12,width=160,height=90", false},
        {"video/x-raw,format=RGB,width=4112,height=96", false},
        {"video/x-raw,format=RGB,framerate=0/1", false},
        {"video/x-raw,format=RGB,framerate=1000/1", true},
        {"video/x-raw,format=RGB,framerate=1001/1", false},
        {"video/x-raw,format=I420,colorimetry=bt601", false},
        {"video/x-raw,format=I420,interlace-mode=interleaved", false},
        {"video/x-raw,format=YUY2", false},
    };
    for (const auto& c : cases) {
        GstCaps* caps = gst_caps_from_string(c.caps);
        fail_unless(gst_element_factory_can_src_any_caps(factory, caps) == c.legal, "%s", c.caps);
        gst_caps_unref(caps);
    }
    gst_object_unref(factory);
}
GST_END_TEST

static void set_filter(Player& player, const char* name, const char* caps) {
    GstElement* filter = gst_bin_get_by_name(GST_BIN(player.pipeline), name);
    gst_util_set_object_arg(G_OBJECT(filter), "caps", caps);
    gst_object_unref(filter);
}

static void check_clash(Player& player, const char* behind, const std::vector<std::string>& named) {
    player.play();
    fail_unless(player.wait_end(), "%s", behind);
    player.set_state(GST_STATE_NULL);
    fail_unless_equals_int(int(player.errors.size()), 1);
    const Failure& error = player.errors[0];
    fail_unless(error.domain == GST_CORE_ERROR);
    fail_unless_equals_int(error.code, GST_CORE_ERROR_NEGOTIATION);
    for (const auto& text : named)
        fail_unless(error.message.find(text) != std::string::npos, "%s: no \"%s\" in: %s", behind,
                    text.c_str(), error.message.c_str());
}

// What clashes and what would not, in one error.
GST_START_TEST(test_an_error_names_the_field_and_the_nearest_legal_value) {
    use_testpattern();
    const struct {
        const char* behind;
        std::vector<std::string> named;
    } cases[] = {
        {"video/x-raw,width=960,height=540",
         {"asks for height=540,", "ask for 960x544 or 960x528 instead", "videoscale"}},
        {"video/x-raw,width=854,height=480", {"width=854,", "ask for 848x480 or 864x480 instead"}},
        {"video/x-raw,width=850,height=90", {"width=850 and height=90,", "848x96, 864x96 or 848x80 instead"}},
        {"video/x-raw,height=100", {"height=100,", "height=96 or 112 instead"}},
        {"video/x-raw,width=8192,height=96", {"width=8192,", "ask for 4096x96 instead"}},
        {"video/x-raw,width=[161,170],height=96", {"width=[ 161, 170 ],", "160x96 or 176x96 instead"}},
        {"video/x-raw,width={7,150},height=96", {"width={ 7 or 150 },", "144x96 or 160x96 instead"}},
        {"video/x-raw,framerate=0/1", {"framerate=0/1,", "framerate=24/1 instead", "videorate"}},
        {"video/x-raw,framerate=2000/1", {"framerate=2000/1,", "framerate=1000/1 instead", "videorate"}},
        {"video/x-raw,pixel-aspect-ratio=16/15",
         {"pixel-aspect-ratio=16/15,", "pixel-aspect-ratio=1/1 instead", "videoscale"}},
        {"video/x-raw,format=I420,colorimetry=bt601",
         {"for colorimetry=bt601,", "colorimetry=bt709 instead", "videoconvert"}},
        {"video/x-raw,format=RGB,colorimetry=bt709", {"for colorimetry=bt709,", "colorimetry=sRGB instead"}},
        {"video/x-raw,format=NV12,chroma-site=jpeg",
         {"for chroma-site=jpeg,", "chroma-site=mpeg2 instead", "videoconvert"}},
        {"video/x-raw,interlace-mode=interleaved",
         {"interlace-mode=interleaved,", "interlace-mode=progressive instead", "put interlace in between"}},
        {"video/x-raw,format=YUY2", {"format=YUY2,", "format=I420, NV12 or RGB instead", "videoconvert"}},
        {"video/x-raw,format=BGRx", {"format=BGRx,", "format=RGB, I420 or NV12 instead"}},
        {"video/x-raw,format={GRAY8,YUY2,UYVY,VYUY}", {"format={ GRAY8, YUY2 , UYVY, ... },", "format=I420"}},
        {"video/x-raw,format=YUY2,width=100,framerate=0/1",
         {"format=YUY2", "width=100", "framerate=0/1", "width=96 or 112",
          "videoconvert, videoscale and videorate"}},
        {"video/x-raw(memory:GLMemory)",
         {"(memory:GLMemory),", "without a memory feature", "put glupload in between"}},
        {"video/x-raw(memory:Unheard)", {"(memory:Unheard),", "uploads frames to that memory"}},
    };
    for (const auto& c : cases) {
        Player player("prompt=ball", c.behind);
        check_clash(player, c.behind, c.named);
    }
}
GST_END_TEST

GST_START_TEST(test_another_medium_is_told) {
    use_testpattern();
    const struct {
        const char* filter;
        std::vector<std::string> named;
    } cases[] = {
        {"video/x-h264", {"asks for video/x-h264,", "put an encoder in between"}},
        {"audio/x-raw", {"asks for audio/x-raw,", "put an element that takes video in between"}},
    };
    for (const auto& c : cases) {
        Player player("prompt=ball", "capsfilter name=filter");
        set_filter(player, "filter", c.filter); // gst_parse_launch would not link it
        check_clash(player, c.filter, c.named);
    }
}
GST_END_TEST

GST_START_TEST(test_elements_behind_that_exclude_each_other_are_told_apart_from_ours) {
    use_testpattern();
    for (const char* behind :
         {"capsfilter name=a ! capsfilter name=b",
          "tee name=t ! queue ! capsfilter name=a ! fakesink async=false t. ! queue ! capsfilter name=b"}) {
        Player player("prompt=ball", behind);
        set_filter(player, "a", "video/x-raw,width=64");
        set_filter(player, "b", "video/x-raw,width=128");
        check_clash(player, behind, {"exclude each other", "tee", "caps filters"});
    }
}
GST_END_TEST

GST_START_TEST(test_elements_between_do_not_hide_the_field) {
    use_testpattern();
    const struct {
        const char* behind;
        std::vector<std::string> named;
    } cases[] = {
        {"videoconvert ! video/x-raw,width=960,height=540",
         {"asks for height=540,", "960x544 or 960x528 instead"}},
        {"videocrop left=10 ! video/x-raw,width=160,height=96",
         {"asks for width=170,", "176x96 or 160x96 instead"}},
        {"videobox left=-20 ! video/x-raw,width=200,height=96",
         {"asks for width=180,", "176x96 or 192x96 instead"}},
        {"videorate ! video/x-raw,width=100",
         {"asks for width=100,", "width=96 or 112 instead", "put videoscale"}},
        {"videoscale ! videorate drop-only=true ! video/x-raw,framerate=2000/1",
         {"framerate=2000/1,", "framerate=1000/1 instead"}},
        {"x264enc ! video/x-h264,profile=high-4:4:4",
         {"asks for format={ Y444 or Y444_10LE },", "put videoconvert"}},
    };
    for (const auto& c : cases) {
        Player player("prompt=ball", c.behind);
        check_clash(player, c.behind, c.named);
    }
}
GST_END_TEST

// aspectratiocrop offers any size, and finds out only with the caps what it crops.
GST_START_TEST(test_a_broken_offer_is_one_error_with_a_remedy) {
    use_testpattern();
    const char* behind = "aspectratiocrop aspect-ratio=1/1 ! video/x-raw,width=64";
    Player player("prompt=ball", behind);
    check_clash(player, behind, {"refuses I420 in 64x32 at 24/1", "both width and height"});
    check_made("aspectratiocrop aspect-ratio=1/1 ! video/x-raw,width=64,height=64", "I420 64x64 24/1");
}
GST_END_TEST

static void pause_in_the_middle(Player& player) {
    player.set_state(GST_STATE_PAUSED);
    fail_unless(player.wait_log("chunk 0"));
    gst_element_get_state(player.pipeline, nullptr, nullptr, 10 * GST_SECOND);
}

// Once sampling has begun the size is settled, the pixel format is not.
GST_START_TEST(test_the_format_may_change_the_size_may_not) {
    use_testpattern();
    Player player("prompt=ball num-frames=57", "capsfilter name=filter caps=video/x-raw,format=I420");
    pause_in_the_middle(player);
    GstPad* pad = gst_element_get_static_pad(player.gen, "src");
    GstCaps* now = gst_pad_query_caps(pad, nullptr);
    GstCaps* other = gst_caps_from_string("video/x-raw,format=NV12,width=160,height=96,framerate=24/1");
    GstCaps* larger = gst_caps_from_string("video/x-raw,format=NV12,width=176,height=96");
    fail_unless(gst_caps_can_intersect(now, other));
    fail_unless(!gst_caps_can_intersect(now, larger));
    gst_caps_unref(larger);
    gst_caps_unref(now);
    gst_object_unref(pad);

    GstElement* filter = gst_bin_get_by_name(GST_BIN(player.pipeline), "filter");
    g_object_set(filter, "caps", other, nullptr);
    gst_object_unref(filter);
    gst_caps_unref(other);
    player.play_to_end();
    fail_unless(player.errors.empty());
    fail_unless_equals_int(int(player.frames.size()), 57);
    GstCaps* caps = caps_of(player);
    fail_unless_equals_string(gst_structure_get_string(gst_caps_get_structure(caps, 0), "format"), "NV12");
    gst_caps_unref(caps);
}
GST_END_TEST

GST_START_TEST(test_another_size_in_the_middle_names_the_one_that_is_made) {
    use_testpattern();
    Player player("prompt=ball num-frames=57", "capsfilter name=filter caps=video/x-raw,format=I420");
    pause_in_the_middle(player);
    set_filter(player, "filter", "video/x-raw,width=64,height=64");
    player.play_to_end();
    fail_unless_equals_int(int(player.errors.size()), 1);
    fail_unless(player.errors[0].message.find("asks for width=64 and height=64,") != std::string::npos, "%s",
                player.errors[0].message.c_str());
    fail_unless(player.errors[0].message.find("being made, I420, NV12 or RGB in 160x96 at 24/1") !=
                    std::string::npos,
                "%s", player.errors[0].message.c_str());
}
GST_END_TEST

// Behind a converter anything may be changed: the picture that is made stays.
GST_START_TEST(test_a_converter_takes_another_size_in_the_middle) {
    use_testpattern();
    for (const char* open : {"video/x-raw", "video/x-raw,width=320,height=192,framerate=12/1"}) {
        Player player("prompt=ball num-frames=57", "videoscale ! videorate ! capsfilter name=filter");
        set_filter(player, "filter", open);
        pause_in_the_middle(player);
        set_filter(player, "filter", "video/x-raw,width=64,height=64,framerate=48/1");
        player.play_to_end();
        fail_unless(player.errors.empty(), "%s", player.errors[0].message.c_str());
        GstCaps* caps = caps_of(player);
        GstVideoInfo info;
        fail_unless(gst_video_info_from_caps(&info, caps));
        gst_caps_unref(caps);
        fail_unless_equals_int(info.width, 160);
        fail_unless_equals_int(info.height, 96);
        fail_unless_equals_int(info.fps_n, 24);
        fail_unless_equals_int(int(player.frames.back().bytes.size()), 64 * 64 * 3 / 2);
    }
}
GST_END_TEST

// Offers a pool with rows much longer than the picture's.
static GstPadProbeReturn offer_wide_rows(GstPad*, GstPadProbeInfo* info, gpointer) {
    GstQuery* query = GST_PAD_PROBE_INFO_QUERY(info);
    if (GST_QUERY_TYPE(query) != GST_QUERY_ALLOCATION) return GST_PAD_PROBE_OK;
    GstCaps* caps;
    gst_query_parse_allocation(query, &caps, nullptr);
    GstVideoInfo video;
    fail_unless(gst_video_info_from_caps(&video, caps));
    GstVideoAlignment wide;
    gst_video_alignment_reset(&wide);
    wide.padding_right = 100;
    for (guint& align : wide.stride_align) align = 127;
    fail_unless(gst_video_info_align(&video, &wide));
    GstBufferPool* pool = gst_video_buffer_pool_new();
    GstStructure* config = gst_buffer_pool_get_config(pool);
    gst_buffer_pool_config_set_params(config, caps, video.size, 0, 0);
    gst_buffer_pool_config_add_option(config, GST_BUFFER_POOL_OPTION_VIDEO_META);
    gst_buffer_pool_config_add_option(config, GST_BUFFER_POOL_OPTION_VIDEO_ALIGNMENT);
    gst_buffer_pool_config_set_video_alignment(config, &wide);
    fail_unless(gst_buffer_pool_set_config(pool, config));
    gst_query_add_allocation_pool(query, pool, video.size, 0, 0);
    gst_query_add_allocation_meta(query, GST_VIDEO_META_API_TYPE, nullptr);
    gst_object_unref(pool);
    return GST_PAD_PROBE_HANDLED;
}

struct Rows {
    std::vector<std::string> frames; // rows without what lies between them
    int widest = 0;
};

static GstPadProbeReturn collect_rows(GstPad* pad, GstPadProbeInfo* info, gpointer user) {
    auto* rows = static_cast<Rows*>(user);
    GstCaps* caps = gst_pad_get_current_caps(pad);
    GstVideoInfo video;
    fail_unless(gst_video_info_from_caps(&video, caps));
    gst_caps_unref(caps);
    GstVideoFrame frame;
    fail_unless(gst_video_frame_map(&frame, &video, GST_PAD_PROBE_INFO_BUFFER(info), GST_MAP_READ));
    std::string bytes;
    for (guint plane = 0; plane < GST_VIDEO_FRAME_N_PLANES(&frame); plane++) {
        const int stride = GST_VIDEO_FRAME_PLANE_STRIDE(&frame, plane);
        const int width =
            GST_VIDEO_FRAME_COMP_WIDTH(&frame, plane) * GST_VIDEO_FRAME_COMP_PSTRIDE(&frame, plane);
        const auto* data = static_cast<const char*>(GST_VIDEO_FRAME_PLANE_DATA(&frame, plane));
        for (int y = 0; y < GST_VIDEO_FRAME_COMP_HEIGHT(&frame, plane); y++)
            bytes.append(data + y * stride, width);
        rows->widest = MAX(rows->widest, stride);
    }
    gst_video_frame_unmap(&frame);
    rows->frames.push_back(bytes);
    return GST_PAD_PROBE_OK;
}

GST_START_TEST(test_strides_are_honoured) {
    use_testpattern();
    for (const char* format : {"I420", "NV12", "RGB"}) {
        Rows rows[2];
        for (int wide = 0; wide < 2; wide++) {
            Player player("prompt=ball seed=3 num-frames=3", std::string("video/x-raw,format=") + format);
            GstElement* sink = gst_bin_get_by_name(GST_BIN(player.pipeline), "sink");
            GstPad* pad = gst_element_get_static_pad(sink, "sink");
            if (wide)
                gst_pad_add_probe(pad, GST_PAD_PROBE_TYPE_QUERY_DOWNSTREAM, offer_wide_rows, nullptr,
                                  nullptr);
            gst_pad_add_probe(pad, GST_PAD_PROBE_TYPE_BUFFER, collect_rows, &rows[wide], nullptr);
            gst_object_unref(pad);
            gst_object_unref(sink);
            player.play_to_end();
            fail_unless(player.errors.empty());
            fail_unless_equals_int(int(rows[wide].frames.size()), 3);
        }
        fail_unless(rows[1].widest > rows[0].widest, "%s: the pool was not used", format);
        fail_unless(rows[0].frames == rows[1].frames, "%s: pixels differ", format);
    }
}
GST_END_TEST

static Suite* caps_suite(void) {
    Suite* suite = suite_create("caps");
    TCase* tests = tcase_create("general");
    suite_add_tcase(suite, tests);
    tcase_add_test(tests, test_left_open_it_is_the_models);
    tcase_add_test(tests, test_downstream_is_obeyed);
    tcase_add_test(tests, test_a_range_gives_the_nearest_legal_size);
    tcase_add_test(tests, test_the_template_says_what_cannot_be);
    tcase_add_test(tests, test_converters_are_left_their_work);
    tcase_add_test(tests, test_where_downstream_leaves_no_choice_the_nearest_is_made);
    tcase_add_test(tests, test_a_rate_behind_videorate_does_not_shorten_the_video);
    tcase_add_test(tests, test_the_branches_of_a_tee_agree);
    tcase_add_test(tests, test_the_caps_query_keeps_to_its_filter);
    tcase_add_test(tests, test_an_error_names_the_field_and_the_nearest_legal_value);
    tcase_add_test(tests, test_another_medium_is_told);
    tcase_add_test(tests, test_elements_behind_that_exclude_each_other_are_told_apart_from_ours);
    tcase_add_test(tests, test_elements_between_do_not_hide_the_field);
    tcase_add_test(tests, test_a_broken_offer_is_one_error_with_a_remedy);
    tcase_add_test(tests, test_the_format_may_change_the_size_may_not);
    tcase_add_test(tests, test_another_size_in_the_middle_names_the_one_that_is_made);
    tcase_add_test(tests, test_a_converter_takes_another_size_in_the_middle);
    tcase_add_test(tests, test_strides_are_honoured);
    return suite;
}

GST_CHECK_MAIN(caps)
