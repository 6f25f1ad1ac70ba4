// SPDX-License-Identifier: LGPL-2.1-or-later
// The module as it is built (or was left out) on a machine without NVIDIA's driver: it loads, finds all that it needs
// of GStreamer's library, and says what is missing. On a machine with a driver there is nothing to see here.
#include <dlfcn.h>
#include <unistd.h>

#include "gst/cuda_frames/cuda_frames.h"
#include "tests/element/player.h"

static bool has_driver() {
    return access("/dev/nvidiactl", F_OK) == 0;
}

GST_START_TEST(test_frames_on_a_gpu_are_refused_with_the_reason) {
    if (has_driver()) return;
    use_testpattern();
    Player player("prompt=ball", "video/x-raw(memory:CUDAMemory)");
    player.play();
    fail_unless(player.wait_end());
    player.set_state(GST_STATE_NULL);
    fail_unless_equals_int(int(player.errors.size()), 1);
#ifdef MODULE
    const char* const reason = "as NVIDIA's driver (libcuda.so.1) is not installed";
#else
    const char* const reason = "as libmotioncache-cuda-frames.so is not there";
#endif
    for (const char* text : {"(memory:CUDAMemory)", reason, "put cudaupload in between"})
        fail_unless(player.errors[0].message.find(text) != std::string::npos, "no \"%s\" in: %s", text,
                    player.errors[0].message.c_str());
}
GST_END_TEST

GST_START_TEST(test_who_takes_both_gets_main_memory) {
    if (has_driver()) return;
    use_testpattern();
    Player player("prompt=ball num-frames=2", "capsfilter caps=\"video/x-raw(memory:CUDAMemory);video/x-raw\"");
    player.play_to_end();
    fail_unless(player.errors.empty());
    fail_unless(player.warnings.size() == 1); // that it is a test pattern
    fail_unless_equals_int(int(player.frames.size()), 2);
}
GST_END_TEST

#ifdef MODULE
GST_START_TEST(test_the_module_finds_its_symbols) {
    void* module = dlopen(MODULE, RTLD_NOW | RTLD_LOCAL);
    fail_unless(module != nullptr, "%s", dlerror());
    for (const char* name : {"mc_cuda_frames_answer", "mc_cuda_frames_pool", "mc_cuda_frames_map_flags"})
        fail_unless(dlsym(module, name) != nullptr, "%s", name);
    const auto open = reinterpret_cast<decltype(&mc_cuda_frames_open)>(dlsym(module, "mc_cuda_frames_open"));
    fail_unless(open != nullptr);
    if (has_driver()) return;
    GstElement* element = gst_element_factory_make("motioncachegen", nullptr);
    char message[12] = "";
    fail_unless(open(element, 0, message, sizeof message) == nullptr);
    fail_unless_equals_string(message, "NVIDIA's dr"); // cut to its size
    gst_object_unref(element);
}
GST_END_TEST
#endif

static Suite* gpu_missing_suite(void) {
    Suite* suite = suite_create("gpu-missing");
    TCase* tests = tcase_create("general");
    suite_add_tcase(suite, tests);
    tcase_add_test(tests, test_frames_on_a_gpu_are_refused_with_the_reason);
    tcase_add_test(tests, test_who_takes_both_gets_main_memory);
#ifdef MODULE
    tcase_add_test(tests, test_the_module_finds_its_symbols);
#else
    puts("skip the_module_finds_its_symbols: needs a build with the module for GPU frames, which takes "
         "gstreamer-cuda-1.0 and cuda.h");
#endif
    return suite;
}

GST_CHECK_MAIN(gpu_missing)
