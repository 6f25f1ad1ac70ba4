// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// The tensors of one network by the one naming that the engine uses, however the files name them.
#include <memory>
#include <string>
#include <vector>

#include "engine/model/tensor_view.h"
#include "engine/model/weight_files.h"

namespace mc::model {

class Tensors {
  public:
    virtual ~Tensors() = default;
    const TensorMap& all() const { return tensors_; }
    // Throws MC_ERROR_READ naming the tensor when it is missing or `shape` differs.
    const TensorView& get(const std::string& name, const std::vector<int64_t>& shape) const;
    bool has(const std::string& name) const { return tensors_.count(name) != 0; }
    size_t bytes() const; // of all tensors together
    std::string origin;   // folder or file, for messages

  protected:
    TensorMap tensors_;
};

// Whose names a file uses.
enum class Layout { ORIGINAL, DIFFUSERS };

struct ExpectedTensor {
    std::string name;     // the engine's: as Diffusers calls it
    std::string original; // as the original repositories call it
    std::vector<int64_t> shape;
    bool eight_bits = false; // of F8_E4M3, else F32, F16 or BF16
};

struct TensorRules {
    std::string network; // "transformer", for messages
    const char* remedy;  // what to do about a file that holds tensors of something else
    // Names of other tensors that files may hold, which are ignored.
    bool (*ignored)(const std::string& name) = nullptr;
    // A second name of a tensor, in `layout`'s naming; either of the two or both may be stored.
    std::string alias, alias_of;
};

// Every expected tensor exactly once, floating point and of its shape; nothing else. The result keeps the
// files open. Throws MC_ERROR_READ.
std::unique_ptr<Tensors> name_tensors(WeightFiles files, Layout layout,
                                      const std::vector<ExpectedTensor>& expected, const TensorRules& rules);

// One side of a tensor, from which a size is inferred. Throws MC_ERROR_READ when there is no such tensor or
// it has not `rank` sides or the side is not in 1..2^20.
int64_t side_of(const TensorMap& tensors, const std::string& name, size_t rank, size_t axis,
                const std::string& origin);

} // namespace mc::model
