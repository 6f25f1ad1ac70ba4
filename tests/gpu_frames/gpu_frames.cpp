// SPDX-License-Identifier: LGPL-2.1-or-later
// Frames in memory:CUDAMemory, with a module that stands in for the GPU: negotiation, the pool, the context that
// encoders ask for, and who writes a frame where.
#include <dlfcn.h>

#include <cstdlib>
#include <cstring>

#include "tests/element/player.h"
#include "tests/gpu_frames/fake_gpu.h"

static const char* const GPU = "video/x-raw(memory:CUDAMemory)";

static const FakeGpuCounts& counts() {
    void* module = dlopen(g_getenv("FAKE_GPU"), RTLD_NOW);
    fail_unless(module != nullptr, "%s", dlerror());
    const auto counts = reinterpret_cast<decltype(&fake_gpu_counts)>(dlsym(module, "fake_gpu_counts"));
    fail_unless(counts != nullptr);
    return *counts();
}
static bool module_is_loaded() {
    return dlopen(g_getenv("FAKE_GPU"), RTLD_NOW | RTLD_NOLOAD) != nullptr;
}

static void check_memory(const std::string& found, const char* expected) {
    fail_unless(found == expected, "%s instead of %s", found.c_str(), expected);
}

static std::string caps_of(Player& player) {
    GstPad* pad = gst_element_get_static_pad(player.gen, "src");
    GstCaps* caps = gst_pad_get_current_caps(pad);
    gst_object_unref(pad);
    fail_unless(caps != nullptr, "no caps were negotiated");
    const GstStructure* s = gst_caps_get_structure(caps, 0);
    gchar* features = gst_caps_features_to_string(gst_caps_get_features(caps, 0));
    const std::string text = std::string(gst_structure_get_string(s, "format")) + " " + features;
    g_free(features);
    gst_caps_unref(caps);
    return text;
}

constexpr int PLANES = 2; // of NV12, each mapped by itself
constexpr size_t WIDTH = 160, HEIGHT = 96, ROW = 256; // of the model; of the pool over there

// Without what is between the rows.
static std::string packed(const std::string& bytes) {
    fail_unless_equals_int(int(bytes.size()), int(ROW * HEIGHT * 3 / 2));
    std::string rows;
    for (size_t y = 0; y < HEIGHT * 3 / 2; y++) rows += bytes.substr(y * ROW, WIDTH);
    return rows;
}

static std::vector<std::string> frames_in_main_memory(const char* settings) {
    Player player(settings, "video/x-raw,format=NV12");
    player.play_to_end();
    fail_unless(player.errors.empty());
    std::vector<std::string> frames;
    for (const Frame& frame : player.frames) frames.push_back(frame.bytes);
    return frames;
}

static void check_frames(Player& player, const std::vector<std::string>& expected) {
    fail_unless(player.errors.empty(), "%s", player.errors.empty() ? "" : player.errors[0].message.c_str());
    fail_unless_equals_int(int(player.frames.size()), int(expected.size()));
    for (size_t i = 0; i < expected.size(); i++)
        fail_unless(packed(player.frames[i].bytes) == expected[i], "frame %zu differs", i);
}

static const char* const SETTINGS = "prompt=ball num-frames=21 seed=5";

GST_START_TEST(test_a_frame_is_written_where_it_lies) {
    use_testpattern("gpu=1");
    const auto expected = frames_in_main_memory(SETTINGS);
    fail_unless(!module_is_loaded(), "nobody asked for it");
    Player player(SETTINGS, GPU);
    player.play_to_end();
    check_frames(player, expected);
    check_memory(caps_of(player), "NV12 memory:CUDAMemory");
    fail_unless_equals_int(counts().written_there, 21 * PLANES);
    fail_unless_equals_int(counts().written_here, 0);
    fail_unless_equals_int(counts().uploads, 0);
    fail_unless_equals_int(counts().pools, 1);
    fail_unless_equals_int(counts().device, 0);
}
GST_END_TEST

// device=auto may have taken the CPU in the end.
GST_START_TEST(test_a_frame_that_was_made_elsewhere_is_uploaded) {
    use_testpattern();
    const auto expected = frames_in_main_memory(SETTINGS);
    Player player(SETTINGS, GPU);
    player.play_to_end();
    check_frames(player, expected);
    fail_unless_equals_int(counts().written_there, 0);
    fail_unless_equals_int(counts().written_here, 21 * PLANES);
}
GST_END_TEST

static std::string memory_for(const std::string& filter, const char* settings = SETTINGS) {
    Player player(settings, "capsfilter caps=\"" + filter + "\"");
    player.play_to_end();
    fail_unless(player.errors.empty(), "%s: %s", filter.c_str(),
                player.errors.empty() ? "" : player.errors[0].message.c_str());
    return caps_of(player);
}

GST_START_TEST(test_the_next_elements_order_decides) {
    use_testpattern("gpu=1");
    const std::string gpu = GPU, here = "video/x-raw";
    check_memory(memory_for(gpu + ";" + here), "NV12 memory:CUDAMemory");
    check_memory(memory_for(here + ";" + gpu), "I420 memory:SystemMemory");
    check_memory(memory_for(gpu + ",format=(string)NV12;" + here + ",format=(string)NV12"), "NV12 memory:CUDAMemory");
    check_memory(memory_for("video/x-raw(ANY)"), "I420 memory:SystemMemory");
}
GST_END_TEST

GST_START_TEST(test_without_a_gpu_the_other_offer_is_taken) {
    use_testpattern();
    const std::string both = std::string(GPU) + ";video/x-raw";
    const std::string cpu = memory_for(both, "prompt=ball num-frames=2 device=cpu");
    check_memory(cpu, "I420 memory:SystemMemory");
    fail_unless(!module_is_loaded());
    const std::string missing = memory_for(both, "prompt=ball num-frames=2 device=cuda:3");
    check_memory(missing, "I420 memory:SystemMemory");
    fail_unless_equals_int(counts().device, 3);
}
GST_END_TEST

static void check_error(const char* settings, const char* behind, const std::vector<std::string>& named) {
    Player player(settings, behind);
    player.play();
    fail_unless(player.wait_end());
    player.set_state(GST_STATE_NULL);
    fail_unless_equals_int(int(player.errors.size()), 1);
    for (const auto& text : named)
        fail_unless(player.errors[0].message.find(text) != std::string::npos, "no \"%s\" in: %s", text.c_str(),
                    player.errors[0].message.c_str());
}

GST_START_TEST(test_where_it_is_asked_for_and_cannot_be_one_error_says_why) {
    use_testpattern();
    check_error("prompt=ball device=cpu", GPU,
                {"(memory:CUDAMemory)", "as device=cpu keeps frames in main memory", "put cudaupload in between"});
    check_error("prompt=ball device=cuda:1", GPU, {"as there is no such GPU (as the test has it)", "cudaupload"});
    check_error("prompt=ball device=nonsense", GPU, {"device=nonsense"});
}
GST_END_TEST

GST_START_TEST(test_another_format_over_there_is_told) {
    use_testpattern("gpu=1");
    const std::string i420 = std::string(GPU) + ",format=I420";
    check_error("prompt=ball", i420.c_str(),
                {"format=I420,", "ask for format=NV12 instead", "put cudaconvert in between"});
    const std::string size = std::string(GPU) + ",width=854,height=480";
    check_error("prompt=ball", size.c_str(), {"width=854,", "848x480 or 864x480", "put cudascale in between"});
}
GST_END_TEST

GST_START_TEST(test_a_gpu_that_fails_is_one_error) {
    use_testpattern("gpu=1,fail=write");
    check_error("prompt=ball", GPU, {"The GPU is lost"});
}
GST_END_TEST

static bool answers(GstElement* gen, const char* type) {
    GstPad* pad = gst_element_get_static_pad(gen, "src");
    GstQuery* query = gst_query_new_context(type);
    const bool answered = gst_pad_query(pad, query);
    GstContext* context = nullptr;
    gst_query_parse_context(query, &context);
    fail_unless(answered == (context != nullptr));
    gst_query_unref(query);
    gst_object_unref(pad);
    return answered;
}

// An encoder asks when it becomes READY, before the source does.
GST_START_TEST(test_the_context_is_given_before_the_element_is_ready) {
    use_testpattern("gpu=1");
    Player player(SETTINGS, GPU);
    fail_unless(!answers(player.gen, "gst.gl.GLDisplay"));
    fail_unless(!module_is_loaded());
    g_object_set(player.gen, "device", "cpu", nullptr);
    fail_unless(!answers(player.gen, "gst.cuda.context"));
    g_object_set(player.gen, "device", "cuda:0", nullptr);
    fail_unless(answers(player.gen, "gst.cuda.context"));
    fail_unless(answers(player.gen, "gst.cuda.context"));
    fail_unless_equals_int(counts().opened, 1);
    player.play_to_end();
    fail_unless(player.errors.empty());
    fail_unless_equals_int(counts().opened, 1);
    fail_unless_equals_int(counts().written_there, 21 * PLANES);
}
GST_END_TEST

// As an element may that has another context, or none.
static GstPadProbeReturn offer_pool(GstPad*, GstPadProbeInfo* info, gpointer asked) {
    GstQuery* query = GST_PAD_PROBE_INFO_QUERY(info);
    if (GST_QUERY_TYPE(query) != GST_QUERY_ALLOCATION) return GST_PAD_PROBE_OK;
    GstBufferPool* pool = gst_video_buffer_pool_new();
    gst_query_add_allocation_pool(query, pool, ROW, 1, 2);
    gst_object_unref(pool);
    GstAllocator* allocator = gst_allocator_find(nullptr);
    gst_query_add_allocation_param(query, allocator, nullptr);
    gst_object_unref(allocator);
    gst_query_add_allocation_meta(query, GST_VIDEO_META_API_TYPE, nullptr);
    ++*static_cast<int*>(asked);
    return GST_PAD_PROBE_HANDLED;
}

GST_START_TEST(test_a_pool_of_other_memory_is_not_taken) {
    use_testpattern("gpu=1");
    const auto expected = frames_in_main_memory(SETTINGS);
    int asked = 0;
    Player player(SETTINGS, GPU);
    GstElement* sink = gst_bin_get_by_name(GST_BIN(player.pipeline), "sink");
    GstPad* pad = gst_element_get_static_pad(sink, "sink");
    gst_pad_add_probe(pad, GST_PAD_PROBE_TYPE_QUERY_DOWNSTREAM, offer_pool, &asked, nullptr);
    gst_object_unref(pad);
    gst_object_unref(sink);
    player.play_to_end();
    check_frames(player, expected);
    fail_unless_equals_int(asked, 1);
    fail_unless_equals_int(counts().written_there, 21 * PLANES);
}
GST_END_TEST

GST_START_TEST(test_the_memory_may_change_in_the_middle) {
    use_testpattern("gpu=1");
    Player player("prompt=ball num-frames=57", "capsfilter name=filter caps=video/x-raw,format=NV12");
    player.set_state(GST_STATE_PAUSED);
    fail_unless(player.wait_log("chunk 0"));
    gst_element_get_state(player.pipeline, nullptr, nullptr, 10 * GST_SECOND);
    GstElement* filter = gst_bin_get_by_name(GST_BIN(player.pipeline), "filter");
    gst_util_set_object_arg(G_OBJECT(filter), "caps", GPU);
    g_object_set(player.gen, "device", "cuda:7", nullptr); // for the next video
    gst_object_unref(filter);
    player.play_to_end();
    fail_unless(player.errors.empty());
    fail_unless_equals_int(int(player.frames.size()), 57);
    check_memory(caps_of(player), "NV12 memory:CUDAMemory");
    fail_unless_equals_int(int(player.frames[0].bytes.size()), int(WIDTH * HEIGHT * 3 / 2));
    packed(player.frames.back().bytes);
    fail_unless(counts().written_there > 0 && counts().written_there < 57 * PLANES);
}
GST_END_TEST

GST_START_TEST(test_it_runs_again_on_another_device) {
    use_testpattern("gpu=1");
    Player player(SETTINGS, std::string("capsfilter caps=\"") + GPU + ";video/x-raw\"");
    const struct {
        const char *device, *memory;
    } runs[] = {{"cuda:0", "NV12 memory:CUDAMemory"},
                {"cpu", "I420 memory:SystemMemory"},
                {"auto", "NV12 memory:CUDAMemory"},
                {"cuda:2", "I420 memory:SystemMemory"}};
    for (const auto& run : runs) {
        g_object_set(player.gen, "device", run.device, nullptr);
        player.play_to_end();
        fail_unless(player.errors.empty());
        check_memory(caps_of(player), run.memory);
        player.set_state(GST_STATE_READY);
        player.forget();
    }
}
GST_END_TEST

static Suite* gpu_frames_suite(void) {
    Suite* suite = suite_create("gpu-frames");
    TCase* tests = tcase_create("general");
    suite_add_tcase(suite, tests);
    tcase_add_test(tests, test_a_frame_is_written_where_it_lies);
    tcase_add_test(tests, test_a_frame_that_was_made_elsewhere_is_uploaded);
    tcase_add_test(tests, test_the_next_elements_order_decides);
    tcase_add_test(tests, test_without_a_gpu_the_other_offer_is_taken);
    tcase_add_test(tests, test_where_it_is_asked_for_and_cannot_be_one_error_says_why);
    tcase_add_test(tests, test_another_format_over_there_is_told);
    tcase_add_test(tests, test_a_gpu_that_fails_is_one_error);
    tcase_add_test(tests, test_the_context_is_given_before_the_element_is_ready);
    tcase_add_test(tests, test_a_pool_of_other_memory_is_not_taken);
    tcase_add_test(tests, test_the_memory_may_change_in_the_middle);
    tcase_add_test(tests, test_it_runs_again_on_another_device);
    return suite;
}

GST_CHECK_MAIN(gpu_frames)
