// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// The .pth files of torch.save since version 1.6: a zip archive with NAME/data.pkl and one file per storage in
// NAME/data/.
#include <string>

#include "engine/model/tensor_view.h"

namespace mc::model {

// The tensors of a file, which may share bytes, as they did when they were saved. Throws MC_ERROR_READ, with a
// remedy for the formats before 1.6, for TorchScript and for other formats under this name.
TensorMap parse_torch_archive(const std::shared_ptr<const DataFile>& file);

} // namespace mc::model
