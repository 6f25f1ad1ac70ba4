// SPDX-License-Identifier: LGPL-2.1-or-later
// What a user reads who asks for a GPU that this machine, this build or this driver does not have.
#include <ATen/ops/conv2d.h>
#include <ATen/ops/ones.h>
#include <dlfcn.h>

#include <filesystem>
#include <fstream>

#include "engine/cuda/gpu_fault.h"
#include "engine/cuda/load_cuda.h"
#include "engine/error.h"
#include "engine/session/device.h"
#include "tests/check.h"

using namespace mc;

TEST(a_module_that_is_not_there_means_built_without_cuda) {
    CHECK_ERROR(open_cuda(0, "/nowhere/libmotioncache-cuda.so"), MC_ERROR_DEVICE, "built without CUDA");
}

TEST(a_file_that_is_no_library_is_refused_with_the_remedy) {
    auto path = std::filesystem::temp_directory_path() / "motioncachegen-not-a-library.so";
    std::ofstream(path) << "text";
    CHECK_ERROR(open_cuda(0, path), MC_ERROR_DEVICE, "cannot be loaded");
    CHECK_ERROR(open_cuda(0, path), MC_ERROR_DEVICE, "fetch.sh --cuda");
    std::filesystem::remove(path);
}

TEST(another_library_is_not_taken_for_the_module) {
    CHECK_ERROR(open_cuda(0, "libc.so.6"), MC_ERROR_DEVICE,
                "built without CUDA"); // a path is meant, not a name
    Dl_info info;
    CHECK(dladdr(reinterpret_cast<void*>(&dlopen), &info) != 0);
    CHECK_ERROR(open_cuda(0, info.dli_fname), MC_ERROR_DEVICE, "is not the CUDA module");
}

#ifndef CUDA_MODULE
#define CUDA_MODULE ""
#endif
namespace {

void need_module() {
    if (!*CUDA_MODULE) SKIP("needs a build with the CUDA module, which takes the toolkit: nvcc 13");
}

bool has_driver() {
    void* driver = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
    if (driver) dlclose(driver);
    return driver;
}

} // namespace

TEST(a_missing_driver_or_library_is_named) {
    need_module();
    if (has_driver()) SKIP("this machine has NVIDIA's driver");
    try {
        open_cuda(0, CUDA_MODULE);
        CHECK(!"no error");
    } catch (const Error& e) {
        CHECK_EQ(int(e.status), int(MC_ERROR_DEVICE));
        const std::string text = e.what();
        // All of CUDA's libraries here: the driver is what is missing. Otherwise the first library, by its
        // name.
        CHECK(text.find("driver is not installed") != std::string::npos ||
              text.find(".so") != std::string::npos);
        CHECK(text.find("device=cpu") != std::string::npos);
    }
}

TEST(the_first_gpu_opens) {
    need_module();
    if (!has_driver()) SKIP("needs a GPU");
    CHECK(open_cuda(0, CUDA_MODULE) == at::Device(at::kCUDA, 0));
}

TEST(a_gpu_that_is_not_there_is_refused_with_those_that_are) {
    need_module();
    if (!has_driver()) SKIP("needs a GPU");
    CHECK_ERROR(open_cuda(999, CUDA_MODULE), MC_ERROR_NOT_FOUND, "this machine has cuda:0 (");
}

// In a process of its own, since it cannot be undone there.
TEST(a_gpu_opened_too_late_says_so) {
    need_module();
    const std::string self = std::filesystem::read_symlink("/proc/self/exe").string();
    FILE* other = popen(("'" + self + "' --too-late 2>&1").c_str(), "r");
    std::string said(4096, 0);
    said.resize(std::fread(said.data(), 1, said.size(), other));
    pclose(other);
    if (said.find("cannot be loaded") != std::string::npos) SKIP("CUDA's libraries are not here: " + said);
    CHECK(said.find("open the GPU before anything else") != std::string::npos);
}
static void open_too_late() {
    at::conv2d(at::ones({1, 1, 4, 4}), at::ones({1, 1, 3, 3}));
    try {
        open_cuda(0, CUDA_MODULE);
    } catch (const Error& e) {
        std::puts(e.what());
    }
}

// What the module says, from what CUDA and LibTorch would answer: each fault with its remedy, and nothing is asked
// behind it.
TEST(every_fault_of_a_gpu_is_named) {
    struct Answers {
        bool torch = true;
        int driver = 13000, count = 2, capability = 90;
        bool works = true;
    };
    std::string asked;
    auto said = [&](const Answers& a, int device, McStatus& status) {
        asked.clear();
        GpuAnswers ask;
        ask.torch_has_cuda = [&] { return asked += "torch ", a.torch; };
        ask.driver = [&] { return asked += "driver ", a.driver; };
        ask.count = [&](std::string& why) {
            asked += "count ", why = "no CUDA-capable device is detected";
            return a.count;
        };
        ask.list = [] { return std::string("cuda:0 (A, 8 GiB), cuda:1 (B, 16 GiB)"); };
        ask.gpu = [&](int) { return asked += "gpu ", GpuAnswers::Gpu{"GeForce GTX 1080", a.capability}; };
        ask.try_it = [&](int) {
            asked += "try ";
            if (!a.works) throw std::runtime_error("no kernel image is available for execution on the device");
        };
        ask.words = [](const std::exception& e) { return std::string(e.what()); };
        return gpu_fault(device, ask, status);
    };
    const struct {
        const char* what;
        Answers answers;
        int device;
        McStatus status;
        const char *words, *asked;
    } cases[] = {
        {"too late", {.torch = false}, 0, MC_ERROR_DEVICE, "open the GPU before anything else", "torch "},
        {"no driver", {.driver = 0}, 0, MC_ERROR_DEVICE, "NVIDIA's driver is not installed; install one for CUDA 13.0",
         "torch driver "},
        {"old driver", {.driver = 12040}, 0, MC_ERROR_DEVICE, "driver is for CUDA 12.4; update it to one for CUDA 13.0",
         "torch driver "},
        {"no GPU", {.count = 0}, 0, MC_ERROR_DEVICE,
         "offers no GPU (no CUDA-capable device is detected); check nvidia-smi",
         "torch driver count "},
        {"another number", {}, 2, MC_ERROR_NOT_FOUND, "there is no cuda:2; this machine has cuda:0 (A, 8 GiB)",
         "torch driver count "},
        {"old GPU", {.capability = 61}, 0, MC_ERROR_DEVICE,
         "GeForce GTX 1080 is too old: its compute capability is 6.1 and this program needs 7.5",
         "torch driver count gpu "},
        {"other code", {.works = false}, 1, MC_ERROR_DEVICE, "cuda:1: LibTorch cannot use this GPU (no kernel image",
         "torch driver count gpu try "},
    };
    for (const auto& c : cases) {
        McStatus status = MC_OK;
        const std::string text = said(c.answers, c.device, status);
        if (text.find(c.words) == std::string::npos) test::fail(c.what, 0, text);
        CHECK_EQ(int(status), int(c.status));
        CHECK_EQ(asked, std::string(c.asked));
        CHECK(!c.answers.torch || status == MC_ERROR_NOT_FOUND || text.find("device=cpu") != std::string::npos);
    }
    McStatus status = MC_OK;
    CHECK_EQ(said({.capability = 75}, 1, status), std::string());
}

// What auto says of a GPU that is there, by its driver, and cannot be had: the CPU is taken, once with a warning. A GPU
// that is asked for is an error.
TEST(auto_takes_what_works) {
    auto broken = std::filesystem::temp_directory_path() / "motioncachegen-broken-module.so";
    std::ofstream(broken) << "text";
    const struct {
        std::string module;
        const char* words;
    } cases[] = {{"/nowhere/libmotioncache-cuda.so", "built without CUDA"}, {broken, "cannot be loaded"}};
    for (const auto& c : cases) {
        const session::CudaFiles files{"/dev/null", c.module}; // as if it were the driver's file
        std::vector<std::string> said;
        auto log = [&](int level, const std::string& text) {
            CHECK_EQ(level, 2);
            said.push_back(text);
        };
        CHECK(session::choose_device("auto", files, log).is_cpu());
        CHECK_EQ(said.size(), size_t(1));
        CHECK(said[0].starts_with("device=auto uses the CPU"));
        CHECK(said[0].find(c.words) != std::string::npos);
        CHECK(session::choose_device("auto", files, {}).is_cpu());
        CHECK_ERROR(session::choose_device("cuda:0", files, log), MC_ERROR_DEVICE, c.words);
        CHECK(session::choose_device("cpu", files, log).is_cpu());
        CHECK_EQ(said.size(), size_t(1));
    }
    std::filesystem::remove(broken);
    auto silent = [](int, const std::string&) { CHECK(!"nothing to say"); };
    CHECK(session::choose_device("auto", {"/nowhere/driver", "/nowhere/module.so"}, silent).is_cpu());
}

int main(int argc, char** argv) {
    if (argc > 1 && !std::strcmp(argv[1], "--too-late")) return open_too_late(), 0;
    return mc::test::run_tests(argc, argv);
}
