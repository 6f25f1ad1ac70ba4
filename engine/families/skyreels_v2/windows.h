// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// How a video is cut into windows (docs/algorithms.md#windows). All in latent frames unless "frames" is said.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "engine/request/fields.h"

namespace mc::skyreels_v2 {

// Latent frames that `frames` >= 1 frames fill or begin to fill: (frames - 1) / 4 + 1, the fraction dropped.
int latent_frames(int frames);

// Instead of a number of frames: windows without end.
constexpr int ENDLESS = -1;

// Latent frames of each window, its overlap included: all `base` but the last. Takes no memory however many they are.
class WindowLengths {
  public:
    WindowLengths() = default;
    // latent_total: ENDLESS, or what the windows cover, every overlap counted once. overlap < base.
    WindowLengths(int latent_total, int base, int overlap);
    bool endless() const { return total_ == ENDLESS; }
    size_t size() const { return count_; } // SIZE_MAX where there is no end
    int operator[](size_t window) const {
        if (endless() || window + 1 < count_) return base_;
        return int(total_ - int64_t(window) * (base_ - overlap_));
    }
    int front() const { return (*this)[0]; }
    int back() const { return (*this)[count_ - 1]; }

  private:
    int total_ = 0, base_ = 1, overlap_ = 0;
    size_t count_ = 0;
};

struct Length {
    int frames;        // that the windows give: at least as many as asked for; ENDLESS
    int latent_frames; // of the whole video, every overlap counted once; ENDLESS
    WindowLengths windows;
};
// The shortest length of at least `frames` >= 1, or without end (ENDLESS), that the sampler can make: every window a
// whole number of chunks. One window when that fits into base_frames, else windows of base_frames of which each takes
// over overlap_frames from the one before; the last may be shorter, and overlap_frames is looked at only then.
// Windows joined by pixels drop overlap_frames frames each but the first, windows joined by latents give
// 4 (latent_frames - 1) + 1 frames; the same when overlap_frames is 4k + 1. Throws MC_ERROR_SETTINGS: frames below 1
// and not ENDLESS, base_frames or chunk below 1; more than one window with an overlap below 1 or not shorter than the
// base; base or overlap no whole number of chunks where more than one window is needed.
Length plan_length(int frames, int base_frames, int overlap_frames, int chunk, LongVideo joined_by);

// As the reference cuts `latent_total` latent frames, without rounding. overlap < base.
std::vector<int> window_lengths(int latent_total, int base, int overlap);

} // namespace mc::skyreels_v2
