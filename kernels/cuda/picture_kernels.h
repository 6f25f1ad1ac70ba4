// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// Colour conversion on the device: the same bytes as mc::kernels::picture_to_*, from the same arithmetic
// (kernels/pixel.h). All pointers are device pointers; the call enqueues on `stream` and does not wait.
// Returns cudaGetLastError() of the launch.
//
// Compiled, but not yet run on a GPU: what is tested is the arithmetic, which the CPU's plain version shares.
#include <cuda_runtime_api.h>

#include "kernels/kernels.h"

namespace mc::kernels::cuda {

cudaError_t picture_to_rgb(const Picture& p, uint8_t* rgb, size_t stride, cudaStream_t stream);
cudaError_t picture_to_i420(const Picture& p, uint8_t* const planes[3], const size_t strides[3],
                            cudaStream_t stream);
cudaError_t picture_to_nv12(const Picture& p, uint8_t* const planes[2], const size_t strides[2],
                            cudaStream_t stream);

} // namespace mc::kernels::cuda
