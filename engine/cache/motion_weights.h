// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// From how much each token differs from the latent frame before to its weight on the distance
// (docs/algorithms.md#motion-weights).
#include <span>
#include <vector>

#include "engine/request/fields.h"

namespace mc::cache {

// What stands for the change of a chunk's first frame.
enum class FirstFrame {
    COMPARED, // what was measured against the last frame of the chunk before
    SECOND, // the change of the second frame: of the first chunk of a window (1 where a chunk has one frame)
    ONES,   // 1: of a later chunk, when nothing of the one before was kept
};

// change: [frames, positions], never negative; its first frame is read only if COMPARED. The weights, in the
// same order, frame by frame:
//     MEAN         change / (mean + 1e-8)
//     MAX          change / (maximum + 1e-8)
//     MAX_RESCALE  floor + (1 - floor) (change - minimum) / (maximum - minimum + 1e-8)
//     NONE         1
// A frame of equal changes has weight 1 in the first two and `floor` in the third.
std::vector<float> motion_weights(std::span<const float> change, int frames, FirstFrame first,
                                  CacheWeights mode, double floor);

// For MotionCache by steps. change: as above, always compared; where has_previous is false the first frame has weight 1
// instead. In each frame, with n the change on its way from the smallest of the frame, 0, to the largest, 1:
//     floor + (1 - floor) n^power;  1 where all changes are equal
std::vector<float> range_weights(std::span<const float> change, int frames, bool has_previous, double floor,
                                 double power);

} // namespace mc::cache
