// SPDX-License-Identifier: LGPL-2.1-or-later
#include "engine/cuda/cuda_module.h"

#include <ATen/detail/CUDAHooksInterface.h>
#include <ATen/ops/zeros.h>
#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAStream.h>
#include <c10/util/Exception.h>
#include <cuda_runtime_api.h>

#include <cstdio>
#include <string>
#include <typeinfo>

#include "kernels/cuda/picture_kernels.h"
#include "kernels/cuda/row_kernels.h"

namespace {

constexpr int OLDEST_DRIVER = 13000; // as cudaDriverGetVersion writes CUDA 13.0

std::string version(int number) {
    return std::to_string(number / 1000) + "." + std::to_string(number % 1000 / 10);
}

std::string list_devices(int count) {
    std::string list;
    for (int i = 0; i < count; i++) {
        cudaDeviceProp properties;
        if (cudaGetDeviceProperties(&properties, i) != cudaSuccess) continue;
        list += (list.empty() ? "" : ", ") + ("cuda:" + std::to_string(i)) + " (" + properties.name + ", " +
                std::to_string(properties.totalGlobalMem >> 30) + " GiB)";
    }
    return list;
}

// Empty: the device is fit for use.
std::string fault(int device, McStatus& status) {
    const std::string name = "cuda:" + std::to_string(device);
    status = MC_ERROR_DEVICE;
    // LibTorch asks once for its part for CUDA, some operations on the CPU among those that ask, and keeps the answer.
    const at::CUDAHooksInterface& hooks = at::detail::getCUDAHooks();
    if (typeid(hooks) == typeid(at::CUDAHooksInterface))
        return name +
               ": LibTorch has worked on the CPU in this program and settled that there is no GPU; open the GPU "
               "before anything else, in a new process";
    int driver = 0;
    if (cudaDriverGetVersion(&driver) != cudaSuccess || driver == 0)
        return name + ": NVIDIA's driver is not installed; install one for CUDA " + version(OLDEST_DRIVER) +
               " or newer, or use device=cpu";
    if (driver < OLDEST_DRIVER)
        return name + ": NVIDIA's driver is for CUDA " + version(driver) + "; update it to one for CUDA " +
               version(OLDEST_DRIVER) + " or newer, or use device=cpu";
    int count = 0;
    if (cudaError_t error = cudaGetDeviceCount(&count); error != cudaSuccess || count == 0)
        return name + ": NVIDIA's driver offers no GPU (" + cudaGetErrorString(error) +
               "); check nvidia-smi and CUDA_VISIBLE_DEVICES, or use device=cpu";
    if (device >= count) {
        status = MC_ERROR_NOT_FOUND;
        return "there is no " + name + "; this machine has " + list_devices(count);
    }
    try { // a kernel, not only an allocation: LibTorch may have been built without code for this GPU
        at::zeros({1}, at::TensorOptions().device(at::kCUDA, c10::DeviceIndex(device))).item<float>();
    } catch (const std::exception& e) {
        const auto* torch_error = dynamic_cast<const c10::Error*>(&e);
        return name + ": LibTorch cannot use this GPU (" +
               (torch_error ? torch_error->what_without_backtrace() : e.what()) +
               "); use another device of " + list_devices(count) + ", or device=cpu";
    }
    return {};
}

} // namespace

const mc::kernels::Launchers* mc_cuda_kernels() {
    namespace kernels = mc::kernels;
    namespace cuda = mc::kernels::cuda;
    using c10::cuda::getCurrentCUDAStream;
    static const kernels::Launchers launchers{
        {true,
         [](const kernels::rows::ResidualNorm& a) {
             C10_CUDA_CHECK(cuda::residual_norm(a, getCurrentCUDAStream()));
         },
         [](const kernels::rows::Projection& a) { C10_CUDA_CHECK(cuda::project(a, getCurrentCUDAStream())); },
         [](const kernels::Reuse& a) { C10_CUDA_CHECK(cuda::reuse(a, getCurrentCUDAStream())); },
         [](const kernels::rows::Change& a) { C10_CUDA_CHECK(cuda::change(a, getCurrentCUDAStream())); },
         [](const kernels::rows::Codes& a) { C10_CUDA_CHECK(cuda::quantize(a, getCurrentCUDAStream())); },
         [](const kernels::rows::Codes& a) { C10_CUDA_CHECK(cuda::restore(a, getCurrentCUDAStream())); }},
        [](const kernels::PictureTo& a) {
            const cudaStream_t stream = getCurrentCUDAStream();
            C10_CUDA_CHECK(a.format == kernels::PictureTo::I420
                               ? cuda::picture_to_i420(a.from, a.planes, a.strides, stream)
                           : a.format == kernels::PictureTo::NV12
                               ? cuda::picture_to_nv12(a.from, a.planes, a.strides, stream)
                               : cuda::picture_to_rgb(a.from, a.planes[0], a.strides[0], stream));
        }};
    return &launchers;
}

McStatus mc_cuda_open(int device, char* message, size_t size) {
    McStatus status = MC_OK;
    if (std::string text = fault(device, status); !text.empty()) {
        std::snprintf(message, size, "%s", text.c_str());
        return status;
    }
    return MC_OK;
}
