// SPDX-License-Identifier: LGPL-2.1-or-later
#include "engine/session/device.h"

#include <unistd.h>

#include "engine/error.h"

namespace mc::session {

bool has_driver(const CudaFiles& files) {
    return ::access(files.driver.c_str(), F_OK) == 0;
}

at::Device choose_device(const std::string& name, const CudaFiles& files,
                         const std::function<void(int level, const std::string& text)>& log) {
    if (name == "cpu") return at::kCPU;
    if (name == "auto") {
        if (!has_driver(files)) return at::kCPU;
        try {
            return open_cuda(0, files.module);
        } catch (const Error& e) {
            if (log) log(2, std::string("device=auto uses the CPU, because the GPU cannot be used: ") + e.what());
            return at::kCPU;
        }
    }
    if (name == "cuda") return open_cuda(0, files.module);
    if (name.rfind("cuda:", 0) == 0) {
        std::string index = name.substr(5);
        if (!index.empty() && index.size() < 4 && index.find_first_not_of("0123456789") == std::string::npos)
            return open_cuda(std::stoi(index), files.module);
    }
    throw Error(MC_ERROR_SETTINGS,
                "device is \"" + name + "\" but must be auto, cpu or cuda:N with the number of a GPU.");
}

} // namespace mc::session
