#pragma once
// The part of Python's pickle format that torch.save uses for a dictionary of tensors. Nothing is executed:
// the few globals such a file names are recognised by their spelling, any other one is an error that names
// it.
#include <cstddef>
#include <string>
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

// `file` is named in messages. Memory is bounded by a small multiple of `size`, and `size` by 4 MiB; nothing
// recurses. Throws MC_ERROR_READ.
std::vector<PickledTensor> read_pickled_tensors(const std::byte* data, size_t size, const std::string& file);

} // namespace mc::model
