// SPDX-License-Identifier: LGPL-2.1-or-later
#include "tests/golden/distance.h"

#include <ATen/TensorOperators.h>
#include <algorithm>

#include "engine/error.h"

namespace mc::golden {

std::vector<Distance> measure_distance(const CaseFile& file, const Produced& value, const Produced& exact) {
    std::vector<Distance> distances;
    for (const auto& [name, view] : file.expected.tensors) {
        const at::Tensor e = exact.tensors.at(name).to(at::kCPU, at::kDouble);
        const at::Tensor d = value.tensors.at(name).to(at::kCPU, at::kDouble) - e;
        if (!d.isfinite().all().item<bool>()) throw Error(MC_ERROR_NUMBERS, name + " holds NaN or infinity.");
        const double norm = e.norm().item<double>(), off = d.norm().item<double>();
        distances.push_back({name, off == 0 ? 0 : off / norm, d.abs().max().item<double>()});
    }
    std::sort(distances.begin(), distances.end(),
              [](const Distance& a, const Distance& b) { return a.relative > b.relative; });
    return distances;
}

} // namespace mc::golden
