#pragma once
// The .pth files of torch.save since version 1.6: a zip archive with NAME/data.pkl and a storage each in
// NAME/data/.
#include <string>

#include "engine/model/tensor_view.h"

namespace mc::model {

// The tensors of a file that lies at `data`; the views point into it and may share bytes, as the tensors did.
// `file` is named in messages. Throws MC_ERROR_READ, with a remedy for the formats before 1.6.
TensorMap parse_torch_archive(const std::byte* data, size_t size, const std::string& file);

} // namespace mc::model
