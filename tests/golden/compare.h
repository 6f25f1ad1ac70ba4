// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// What an engine part gave against what a case expects, value by value within the case's tolerances.
#include <ATen/core/Tensor.h>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "tests/golden/case_file.h"

namespace mc::golden {

struct Tolerance {
    bool exact = false;
    double atol = 0, rtol = 0;
};
// The first pattern (shell style; several, separated by commas, may share an entry) other than "*" that
// matches, else that of "*". Without a match there is no tolerance.
std::optional<Tolerance> tolerance_of(const Json& patterns, const std::string& name);

struct Produced {
    std::map<std::string, at::Tensor> tensors; // by name in expected.safetensors
    Json values; // fields of case.json; parts may be left out where it has no tolerance
    // Of values that a case gives as inputs and the engine has to find again: own expectation and tolerance.
    struct Extra {
        std::string name;
        at::Tensor value, expected;
        Tolerance tolerance;
    };
    std::vector<Extra> extras;
};

struct Finding {
    std::string name;
    double ratio = 0;    // worst |a - e| / (atol + rtol |e|); above 1 the case fails
    std::string failure; // another reason to fail: missing, shape, NaN, no tolerance
    bool failed() const { return ratio > 1 || !failure.empty(); }
};
// One finding a tensor and a field. Everything that the case expects is in it, whether produced or not.
std::vector<Finding> compare(const CaseFile& file, const Produced& produced);

at::Tensor to_tensor(const model::TensorView& view); // copied

} // namespace mc::golden
