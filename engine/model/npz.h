// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// The .npz files of numpy.savez: a zip archive with one NAME.npy per array, not compressed.
#include "engine/model/tensor_view.h"

namespace mc::model {

// The arrays of a file by NAME. Throws MC_ERROR_READ, with a remedy for compressed archives and for arrays of types
// that are none of this module's (big-endian, complex, text, records).
TensorMap parse_npz(const std::shared_ptr<const DataFile>& file);

} // namespace mc::model
