// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// A runner computes one family of cases with the engine's own parts. A source file adds its runners to the
// list by a constant `const Added added{...}` at file level, so that a part that is not built yet leaves out
// no more than its own file.
#include <ATen/core/Tensor.h>
#include <string>
#include <vector>

#include "engine/networks/weights.h"
#include "tests/golden/compare.h"

namespace mc::golden {

struct Run {
    const CaseFile& file;
    std::string layout; // "original" or "diffusers"; "-" for a case without weights
    Precision precision = Precision::FLOAT32;
    at::Device device = at::kCPU;

    // The path of a part ("dit", "vae", "text_encoder", "tokenizer") in this layout.
    std::string weights(const std::string& part) const;
    at::Tensor input(const std::string& name) const; // on the device; throws when the case has none
};

// Thrown by a runner that knows the case but whose engine part does not exist.
struct NotImplemented {
    std::string reason;
};

struct Runner {
    const char* family;
    bool has_precision;             // computes in Run::precision; others are float32 always
    bool (*takes)(const CaseFile&); // looks at the case's tensors and fields, not at its name
    Produced (*run)(const Run&);
};
std::vector<Runner>& runners();
// The runner of a case; throws NotImplemented when there is none.
const Runner& runner_of(const CaseFile& file);
// The layouts that a case names, "-" when it has no weights.
std::vector<std::string> layouts_of(const CaseFile& file);

struct Added {
    Added(std::initializer_list<Runner> list) { runners().insert(runners().end(), list); }
};

} // namespace mc::golden
