// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// What has to be known of the videos of a model before it is loaded, to negotiate caps. Plain numbers, of any
// family.

namespace mc::model {

struct PictureSizes {
    // Sides in pixels: multiples of the step, and what a video has that asks for nothing.
    int step_width = 16, step_height = 16;
    int least_width = 16, least_height = 16;
    int largest_width = 16384, largest_height = 16384;
    int width = 0, height = 0;
    int frame_rate_n = 24, frame_rate_d = 1;
    int num_frames = 0;
    int chunk_latents = 1; // latent frames that leave together, 4 frames each
};

} // namespace mc::model
