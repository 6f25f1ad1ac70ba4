// SPDX-License-Identifier: LGPL-2.1-or-later
#include "engine/cuda/cuda_module.h"

#include <ATen/cuda/CUDAContextLight.h>
#include <ATen/detail/CUDAHooksInterface.h>
#include <ATen/ops/zeros.h>
#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>
#include <c10/util/Exception.h>
#include <cuda_runtime_api.h>

#include <cstdio>
#include <string>
#include <typeinfo>

#include "engine/cuda/gpu_fault.h"
#include "engine/cuda/nccl_link.h"
#include "kernels/cuda/picture_kernels.h"
#include "kernels/cuda/row_kernels.h"

namespace {

std::string list_devices() {
    std::string list;
    int count = 0;
    if (cudaGetDeviceCount(&count) != cudaSuccess) return list;
    for (int i = 0; i < count; i++) {
        cudaDeviceProp properties;
        if (cudaGetDeviceProperties(&properties, i) != cudaSuccess) continue;
        list += (list.empty() ? "" : ", ") + ("cuda:" + std::to_string(i)) + " (" + properties.name + ", " +
                std::to_string(properties.totalGlobalMem >> 30) + " GiB)";
    }
    return list;
}

mc::GpuAnswers answers() {
    mc::GpuAnswers ask;
    ask.torch_has_cuda = [] {
        const at::CUDAHooksInterface& hooks = at::detail::getCUDAHooks();
        return typeid(hooks) != typeid(at::CUDAHooksInterface);
    };
    ask.driver = [] {
        int driver = 0;
        return cudaDriverGetVersion(&driver) == cudaSuccess ? driver : 0;
    };
    ask.count = [](std::string& why) {
        int count = 0;
        const cudaError_t error = cudaGetDeviceCount(&count);
        why = cudaGetErrorString(error);
        return error == cudaSuccess ? count : 0;
    };
    ask.list = list_devices;
    ask.gpu = [](int device) -> mc::GpuAnswers::Gpu {
        cudaDeviceProp properties;
        if (cudaGetDeviceProperties(&properties, device) != cudaSuccess) return {"", mc::OLDEST_GPU}; // try_it tells
        return {properties.name, properties.major * 10 + properties.minor};
    };
    ask.try_it = [](int device) {
        at::zeros({1}, at::TensorOptions().device(at::kCUDA, c10::DeviceIndex(device))).item<float>();
    };
    ask.words = [](const std::exception& e) -> std::string {
        const auto* torch_error = dynamic_cast<const c10::Error*>(&e);
        return torch_error ? torch_error->what_without_backtrace() : e.what();
    };
    return ask;
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

const mc::ranks::DeviceLinks* mc_cuda_links() {
    return &mc::nccl::links;
}

const mc::Workspaces* mc_cuda_workspaces() {
    static const mc::Workspaces workspaces{[](int device) {
                                               const c10::cuda::CUDAGuard guard(c10::DeviceIndex{int8_t(device)});
                                               // Of cuBLAS, 32 MiB on Hopper, and of cuBLASLt.
                                               return int64_t(at::cuda::getChosenWorkspaceSize() +
                                                              at::cuda::getCUDABlasLtWorkspaceSize());
                                           },
                                           at::cuda::clearCublasWorkspaces};
    return &workspaces;
}

McStatus mc_cuda_open(int device, char* message, size_t size) {
    McStatus status = MC_OK;
    if (std::string text = mc::gpu_fault(device, answers(), status); !text.empty()) {
        std::snprintf(message, size, "%s", text.c_str());
        return status;
    }
    return MC_OK;
}
