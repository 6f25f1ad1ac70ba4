// SPDX-License-Identifier: LGPL-2.1-or-later
#include "engine/cuda/load_cuda.h"

#include <dlfcn.h>
#include <filesystem>

#include "engine/cuda/cuda_module.h"
#include "engine/device_kernels.h"
#include "engine/error.h"
#include "engine/module_path.h"
#include "engine/own_stream.h"

namespace mc {

namespace fs = std::filesystem;

std::string cuda_module_path() {
    return module_path("libmotioncache-cuda.so");
}

at::Device open_cuda(int index, const std::string& module) {
    const std::string name = "cuda:" + std::to_string(index);
    if (!fs::exists(module))
        throw Error(MC_ERROR_DEVICE,
                    name + ": this program was built without CUDA; install the CUDA toolkit 13 and build "
                           "in a new folder, or use device=cpu",
                    "no file " + module);
    // Never closed: ATen keeps what the library registers until the process ends.
    void* library = dlopen(module.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (!library)
        throw Error(MC_ERROR_DEVICE,
                    name + ": a library for CUDA cannot be loaded (" + dlerror() +
                        "); tools/torch/fetch.sh --cuda fetches them all, or use device=cpu",
                    module);
    auto open = reinterpret_cast<decltype(&mc_cuda_open)>(dlsym(library, "mc_cuda_open"));
    if (!open)
        throw Error(MC_ERROR_DEVICE, module + " is not the CUDA module of this program; install it again",
                    dlerror());
    auto kernels = reinterpret_cast<decltype(&mc_cuda_kernels)>(dlsym(library, "mc_cuda_kernels"));
    auto links = reinterpret_cast<decltype(&mc_cuda_links)>(dlsym(library, "mc_cuda_links"));
    auto workspaces = reinterpret_cast<decltype(&mc_cuda_workspaces)>(dlsym(library, "mc_cuda_workspaces"));
    if (!kernels || !links || !workspaces)
        throw Error(MC_ERROR_DEVICE, module + " is of another version of this program; install it again", dlerror());
    char message[1024];
    if (McStatus status = open(index, message, sizeof message); status != MC_OK)
        throw Error(status, message, module);
    register_kernels(at::kCUDA, kernels());
    ranks::register_links(at::kCUDA, links());
    register_workspaces(at::kCUDA, workspaces());
    return at::Device(at::kCUDA, c10::DeviceIndex(index));
}

at::Device device_by_name(const std::string& name) {
    const at::Device device(name);
    return device.is_cuda() ? open_cuda(device.has_index() ? device.index() : 0) : device;
}

} // namespace mc
