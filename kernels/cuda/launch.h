// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// How a kernel is launched. Where MC_LAUNCH is defined before, so are CUDA's names: tests run the same sources on the
// CPU.
#ifndef MC_LAUNCH
#include <cuda_runtime_api.h>
#define MC_LAUNCH(kernel, grid, threads, stream, ...) kernel<<<grid, threads, 0, stream>>>(__VA_ARGS__)
#endif
