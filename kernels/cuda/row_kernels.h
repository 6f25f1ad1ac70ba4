// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// The operations of kernels/rows on the device, a warp a row. All pointers are device pointers; the call enqueues on
// `stream` and does not wait. Returns cudaGetLastError() of the launch; cudaErrorInvalidValue: rows wider than
// MOST_WIDTH that are held (residual_norm, project), or groups of more than 256 to quantize.
//
// Compiled, but not yet run on a GPU: tests run this source on the CPU, thread by thread.
#include "kernels/cuda/launch.h"
#include "kernels/rows/rows.h"

namespace mc::kernels::cuda {

cudaError_t residual_norm(const rows::ResidualNorm& a, cudaStream_t stream);
cudaError_t project(const rows::Projection& a, cudaStream_t stream);
cudaError_t reuse(const Reuse& a, cudaStream_t stream);
cudaError_t change(const rows::Change& a, cudaStream_t stream);
cudaError_t quantize(const rows::Codes& a, cudaStream_t stream);
cudaError_t restore(const rows::Codes& a, cudaStream_t stream);

} // namespace mc::kernels::cuda
