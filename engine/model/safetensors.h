// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// Safetensors: eight bytes of header length (little endian), a JSON header, the tensors' bytes.
#include <string>

#include "engine/model/tensor_view.h"

namespace mc::model {

// The tensors of a file; of their bytes none is read. Strict, as the format and its own library are: every byte
// after the header belongs to exactly one tensor, whose size is that of its type and shape; padding is allowed
// only as spaces at the end of the header, not at the end of the file. Throws MC_ERROR_READ.
TensorMap parse_safetensors(const std::shared_ptr<const DataFile>& file);

} // namespace mc::model
