// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// The part of Python's pickle format, protocols 2 to 5, that torch.save uses for a dictionary of tensors or
// parameters, and for what a checkpoint keeps beside it. Nothing is executed: the few globals such a file names are
// recognised by their spelling, any other one is an error that names it.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "engine/model/tensor_view.h"

namespace mc::model {

// A tensor as the pickle describes it; nothing of it has been compared with the storages yet.
struct PickledTensor {
    std::string name;
    DType dtype;
    std::string storage;                // key: entry data/KEY of the archive
    int64_t storage_elements;           // the storage's size
    int64_t offset;                     // of the first element, in elements
    std::vector<int64_t> shape, stride; // in elements
};

inline constexpr size_t PICKLE_LIMIT = 4 << 20; // 34000 tensors' worth; the biggest published one: 0.15 MiB

// The tensors of the dictionary, or of the one dictionary of tensors in it ("state_dict" and what lies beside it).
// `file` is named in messages. Memory is bounded by a small multiple of the pickle's size, which is at most
// PICKLE_LIMIT; nothing recurses. Throws MC_ERROR_READ.
std::vector<PickledTensor> read_pickled_tensors(std::string_view pickle, const std::string& file);

} // namespace mc::model
