// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// Why a GPU cannot be used, as the sentence that a user reads. No CUDA here: what is asked of it comes from the caller,
// so that every answer can be tested without a GPU.
#include <functional>
#include <string>

#include "engine/motioncache.h"

namespace mc {

constexpr int OLDEST_DRIVER = 13000; // as cudaDriverGetVersion writes CUDA 13.0
constexpr int OLDEST_GPU = 75;       // compute capability 7.5: what kernels/cuda and LibTorch have code for

// What CUDA and LibTorch say, asked in this order and no further than to the first fault.
struct GpuAnswers {
    std::function<bool()> torch_has_cuda;
    std::function<int()> driver; // its CUDA version; 0: there is none
    std::function<int(std::string& why)> count; // GPUs; 0: `why` not
    std::function<std::string()> list;          // "cuda:0 (NVIDIA H100, 79 GiB), cuda:1 (...)"
    struct Gpu {
        std::string name;
        int capability; // 75: 7.5
    };
    std::function<Gpu(int device)> gpu;
    std::function<void(int device)> try_it; // a small kernel; throws what LibTorch throws
    std::function<std::string(const std::exception&)> words; // of what it threw
};

// Empty: the device is fit for use. status: MC_ERROR_NOT_FOUND where there is no such device, else MC_ERROR_DEVICE.
inline std::string gpu_fault(int device, const GpuAnswers& ask, McStatus& status) {
    const auto version = [](int number) {
        return std::to_string(number / 1000) + "." + std::to_string(number % 1000 / 10);
    };
    const std::string name = "cuda:" + std::to_string(device);
    status = MC_ERROR_DEVICE;
    // LibTorch asks once for its part for CUDA, some operations on the CPU among those that ask, and keeps the answer.
    if (!ask.torch_has_cuda())
        return name +
               ": LibTorch has worked on the CPU in this program and settled that there is no GPU; open the GPU "
               "before anything else, in a new process";
    const int driver = ask.driver();
    if (!driver)
        return name + ": NVIDIA's driver is not installed; install one for CUDA " + version(OLDEST_DRIVER) +
               " or newer, or use device=cpu";
    if (driver < OLDEST_DRIVER)
        return name + ": NVIDIA's driver is for CUDA " + version(driver) + "; update it to one for CUDA " +
               version(OLDEST_DRIVER) + " or newer, or use device=cpu";
    std::string why;
    const int count = ask.count(why);
    if (count <= 0)
        return name + ": NVIDIA's driver offers no GPU (" + why +
               "); check nvidia-smi and CUDA_VISIBLE_DEVICES, or use device=cpu";
    if (device >= count) {
        status = MC_ERROR_NOT_FOUND;
        return "there is no " + name + "; this machine has " + ask.list();
    }
    const GpuAnswers::Gpu gpu = ask.gpu(device);
    if (gpu.capability < OLDEST_GPU) {
        const auto point = [](int c) { return std::to_string(c / 10) + "." + std::to_string(c % 10); };
        return name + ": " + gpu.name + " is too old: its compute capability is " + point(gpu.capability) +
               " and this program needs " + point(OLDEST_GPU) + " or more; use another device of " + ask.list() +
               ", or device=cpu";
    }
    try { // a kernel, not only an allocation: LibTorch may have been built without code for this GPU
        ask.try_it(device);
    } catch (const std::exception& e) {
        return name + ": LibTorch cannot use this GPU (" + ask.words(e) + "); use another device of " + ask.list() +
               ", or device=cpu";
    }
    return {};
}

} // namespace mc
