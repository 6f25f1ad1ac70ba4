// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// The two VAEs that the tests have: the golden one (base 4, two residual blocks a stage) and the demo model's
// (base 16, one).
#include "engine/networks/wan_vae/wan_vae.h"
#include "engine/networks/wan_vae/wan_vae_files.h"

namespace mc::wan_vae::test {

extern std::string source_root; // set by main

inline std::string golden_folder() {
    return source_root + "/tests/golden/data";
}

struct Opened {
    model::VaeConfig config;
    std::unique_ptr<model::Tensors> tensors;
    explicit Opened(const std::string& path) : tensors(model::open_vae(path, config)) {}
    std::unique_ptr<WanVae> vae(Arithmetic arithmetic = Arithmetic::AUTO,
                                Precision precision = Precision::FLOAT32) const {
        return std::make_unique<WanVae>(Weights(*tensors, at::kCPU), config, precision, arithmetic);
    }
};
inline Opened toy() {
    return Opened(golden_folder() + "/weights/diffusers/vae");
}
inline Opened demo() {
    return Opened(source_root + "/models/demo/vae");
}

at::Tensor noise(std::vector<int64_t> shape); // the same at every call

} // namespace mc::wan_vae::test
