// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// A picture made ready for the VAE: centre crop to the target's aspect, bicubic resize with 8-bit
// intermediate rounding as Pillow does, scaled to [-1, 1] (docs/algorithms.md#image). No Torch.
#include <cstdint>
#include <vector>

namespace mc::sampler {

struct Image {
    int width = 0, height = 0;
    std::vector<uint8_t> rgb; // [height, width, 3]
};
// A video, frame by frame.
struct Clip {
    std::vector<Image> frames;
    int frame_rate_n = 24, frame_rate_d = 1;
};
// Every function throws MC_ERROR_SETTINGS for an image without pixels, one whose data is not width * height *
// 3 bytes, or a target below 1 x 1.

// The largest box in the middle with the aspect of width x height; never enlarges or shrinks. Its edges are
// rounded half to even. Throws MC_ERROR_SETTINGS when so narrow an image has no such box.
Image crop_to_aspect(const Image& image, int width, int height);
// Bicubic (a = -0.5), widened to an area filter where it shrinks; bit-equal to Pillow's resize of an RGB image.
Image resize_bicubic(const Image& image, int width, int height);
// [3, height, width]; crop, resize, x / 127.5 - 1.
std::vector<float> image_to_pixels(const Image& image, int width, int height);

} // namespace mc::sampler
