#pragma once
// Safetensors: eight bytes of header length (little endian), a JSON header, the tensors' bytes.
#include <string>

#include "engine/model/tensor_view.h"

namespace mc::model {

// The tensors of a file that lies at `data`; the views point into it. `file` is named in messages. Strict:
// every byte after the header belongs to exactly one tensor, whose size is that of its type and shape. Throws
// MC_ERROR_READ.
TensorMap parse_safetensors(const std::byte* data, size_t size, const std::string& file);

} // namespace mc::model
