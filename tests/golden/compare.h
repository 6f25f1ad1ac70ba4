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
    double rel_l2 = 0; // of the whole tensor: norm of the difference / norm of the expected one; 0: not asked
    bool sets = false; // along the first axis the order does not count
};
// The first pattern (shell style; several, separated by commas, may share an entry) other than "*" that
// matches, else that of "*". Without a match there is no tolerance.
std::optional<Tolerance> tolerance_of(const Json& patterns, const std::string& name);
// That of a case that names its kind: by the name, its part before the first dot, its part after the last one, or
// "default", in this order: {"abs": x, "rel_l2": y} (either may be absent) or words, "exact ...", "... sets ...", "as
// NAME". Throws mc::Error for other words.
std::optional<Tolerance> tolerance_by_parts(const Json& tolerances, const std::string& name);

struct Produced {
    std::map<std::string, at::Tensor> tensors; // by name in expected.safetensors
    Json values; // fields of case.json; parts may be left out where it has no tolerance
    // Relative tolerances that a case gives in the words of a note, by name, beside the absolute ones.
    std::map<std::string, double> relative_by_note;
    // Of tensors of which a note says that later rows are of no use: how many are given, and compared.
    std::map<std::string, int64_t> first_rows;
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
    double ratio = 0;    // worst |a - e| / (atol + rtol |e|), or distance / rel_l2; above 1 the case fails
    std::string failure; // another reason to fail: missing, shape, NaN, no tolerance
    bool failed() const { return ratio > 1 || !failure.empty(); }
};
// One finding for each tensor and each field. Everything that the case expects is in it, whether produced or not.
std::vector<Finding> compare(const CaseFile& file, const Produced& produced);

at::Tensor to_tensor(const model::TensorView& view); // copied

} // namespace mc::golden
