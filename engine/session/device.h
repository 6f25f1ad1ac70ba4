// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// Which device a model is opened on.
#include <ATen/core/Tensor.h>
#include <functional>
#include <string>

#include "engine/cuda/load_cuda.h"

namespace mc::session {

// Where CUDA is looked for.
struct CudaFiles {
    std::string driver = "/dev/nvidiactl"; // tells cheaply whether trying makes sense
    std::string module = cuda_module_path();
};
bool has_driver(const CudaFiles& files);

// name: "auto", "cpu", "cuda:N". auto takes the first GPU where there is one that works, and says as a warning (level
// 2) what it did not take and why; without a driver there is nothing to say. Throws MC_ERROR_SETTINGS for another name;
// for a GPU that is asked for what open_cuda throws.
at::Device choose_device(const std::string& name, const CudaFiles& files,
                         const std::function<void(int level, const std::string& text)>& log);

} // namespace mc::session
