// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// The caps that the element offers: three pixel formats, their colorimetry, and the sizes that a model accepts; NV12 in
// the memory of a GPU behind them.
#include <gst/video/video.h>

#include <optional>

#include "engine/model/model_folder.h"
#include "engine/motioncache.h"
#include "gst/cuda_frames/cuda_frames.h"
#include "gst/generator.h"

namespace mc::gst {

// For any model: the pad template.
#define MOTIONCACHE_SIZE "[ 16, 4096, 16 ]"
#define MOTIONCACHE_CAPS_REST                                                                                \
    ", width = (int) " MOTIONCACHE_SIZE ", height = (int) " MOTIONCACHE_SIZE                                 \
    ", framerate = (fraction) [ 1/2147483647, 1000/1 ], pixel-aspect-ratio = (fraction) 1/1"                 \
    ", interlace-mode = (string) progressive"
#define MOTIONCACHE_CAPS                                                                                     \
    "video/x-raw, format = (string) { I420, NV12 }" MOTIONCACHE_CAPS_REST                                    \
    ", colorimetry = (string) bt709, chroma-site = (string) mpeg2; "                                         \
    "video/x-raw, format = (string) RGB" MOTIONCACHE_CAPS_REST ", colorimetry = (string) sRGB; "             \
    "video/x-raw(" MC_CUDA_MEMORY "), format = (string) NV12" MOTIONCACHE_CAPS_REST                          \
    ", colorimetry = (string) bt709, chroma-site = (string) mpeg2"

// What a model allows and prefers.
struct ModelSizes {
    int step_width, step_height; // pixels
    int least_width, least_height;
    int largest_width, largest_height;
    PictureFormat preferred;
    int num_frames;
    int chunk_latents; // latent frames of a chunk
};
ModelSizes sizes_of(const model::PictureSizes& pictures);

GstCaps* narrow_caps(const GstCaps* caps, const ModelSizes& sizes);
GstCaps* narrow_caps(const GstCaps* caps, const PictureFormat& picture);

// The nearest member of `value` (fixed, range or list); empty where it has none of that type.
std::optional<int> nearest_int(const GValue* value, int wanted);
struct FrameRate {
    int n, d;
    double per_second() const { return double(n) / d; }
};
std::optional<FrameRate> nearest_rate(const GValue* value, FrameRate wanted);

// Fixed caps that both sides accept: the native size and rate where one of downstream's structures has them, else
// the nearest. Converters list first what is asked for downstream of them, then everything that they can convert: this
// source, for which another size is expensive, chooses its own among the latter and lets them convert. The format is
// the one that downstream prefers, and so is the memory. Empty when nothing fits. (transfer full)
GstCaps* choose_caps(GstCaps* theirs, GstCaps* ours, const PictureFormat& native);

McPixelFormat pixel_format_of(const GstVideoInfo& info);

} // namespace mc::gst
