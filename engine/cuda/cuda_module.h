// SPDX-License-Identifier: LGPL-2.1-or-later
// The interface of libmotioncache-cuda.so, the only part that is linked with CUDA. The engine loads it when a
// model is opened on "cuda:N" and never otherwise, so that everything else runs where there is no CUDA
// library at all.
#pragma once
#include <cstddef>

#include "engine/motioncache.h"
#include "engine/ranks/device_link.h"
#include "engine/workspaces.h"
#include "kernels/launchers.h"

extern "C" {

// Makes ATen's CUDA device `device` usable: checks the driver, the devices and that a kernel runs.
// MC_OK; MC_ERROR_NOT_FOUND: there is no such device; MC_ERROR_DEVICE: CUDA cannot be used at all.
// message: what is wrong, with the remedy, cut to `size` bytes; untouched with MC_OK.
MC_API McStatus mc_cuda_open(int device, char* message, size_t size);

// This program's kernels for CUDA devices.
MC_API const mc::kernels::Launchers* mc_cuda_kernels();

// NCCL, by which ranks exchange what lies on their GPUs.
MC_API const mc::ranks::DeviceLinks* mc_cuda_links();

// What LibTorch's products take on them.
MC_API const mc::Workspaces* mc_cuda_workspaces();
}
