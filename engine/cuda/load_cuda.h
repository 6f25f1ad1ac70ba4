// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// CUDA on demand: the engine itself is linked with the CPU part of LibTorch only.
#include <c10/core/Device.h>
#include <string>

namespace mc {

// Of libmotioncache-cuda.so, see module_path.h.
std::string cuda_module_path();

// Loads the CUDA module, once for the process, and opens device cuda:index (index >= 0). Before any other work:
// LibTorch asks once for its part for CUDA (ATen's convolution on the CPU is one of those who ask), and what was not
// loaded by then is never found. Throws mc::Error:
// MC_ERROR_DEVICE when the module, a library that it needs, the driver or the GPU is missing, and says which;
// MC_ERROR_NOT_FOUND when there is no device of that number, with the list of those that are there.
at::Device open_cuda(int index, const std::string& module = cuda_module_path());

// "cuda:N" opened, or another device by its name in LibTorch: for programs of tests and measurements.
at::Device device_by_name(const std::string& name);

} // namespace mc
