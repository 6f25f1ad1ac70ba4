// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// A runner computes one family of cases with the engine's own parts. A source file adds its runners to the
// list by a constant `const Added added{...}` at file level, so that a part that is not built yet leaves out
// no more than its own file; runners of cases that name their kind by `const AddedKinds added{{"kind", run}...}`.
#include <ATen/core/Tensor.h>
#include <map>
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
    // Of a case that names its kind: FOLDER/weights.
    std::string group_weights() const { return file.folder + "/weights"; }
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
Runner runner_of(const CaseFile& file);
// The layouts that a case names, "-" when it has no weights.
std::vector<std::string> layouts_of(const CaseFile& file);

struct Added {
    Added(std::initializer_list<Runner> list) { runners().insert(runners().end(), list); }
};

// For a kind, and for the name of a case of the kind "unit": what computes it. Such a case says itself in which
// precision it is computed, and whether by one way of computing or by several, all of which it judges.
using KindRunner = Produced (*)(const Run&);
std::map<std::string, KindRunner>& kinds();
struct AddedKinds {
    AddedKinds(std::initializer_list<std::pair<const std::string, KindRunner>> list) { kinds().insert(list); }
};

} // namespace mc::golden
