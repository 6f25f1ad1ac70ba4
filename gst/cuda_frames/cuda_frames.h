// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// The interface of libmotioncache-cuda-frames.so, the only part that is linked with GStreamer's library for CUDA. The
// plugin opens it when another element names memory:CUDAMemory or asks for its context, and never otherwise. GStreamer
// declares that library unstable, so the module uses only what of it has stayed the same since 1.22.
#include <gst/video/video.h>

#include <cstddef>

#include "engine/motioncache.h"

#define MC_CUDA_MEMORY "memory:CUDAMemory" // a feature of caps
#define MC_CUDA_CONTEXT "gst.cuda.context" // a type of contexts

extern "C" {

// The context of GPU `device` for `element`: always CUDA's primary context, in which LibTorch works, so that what one
// writes the other may read. Where the element was given a GstCudaContext of it, that one: elements take frames without
// a copy from the very same object alone. (transfer full) NULL: `message` says why, cut to `size` bytes.
MC_API GstObject* mc_cuda_frames_open(GstElement* element, int device, char* message, size_t size);

// Answers a query for MC_CUDA_CONTEXT.
MC_API gboolean mc_cuda_frames_answer(GstObject* context, GstElement* element, GstQuery* query);

// For buffers in `context`: the offered pool where it is of that context, else a new one. `offered` may be NULL.
// (transfer full)
MC_API GstBufferPool* mc_cuda_frames_pool(GstObject* context, GstBufferPool* offered);

// With GST_MAP_WRITE added: the flags that map a buffer to addresses of the GPU. 0 where it is not in `context`.
MC_API guint mc_cuda_frames_map_flags(GstObject* context, GstBuffer* buffer);
}
