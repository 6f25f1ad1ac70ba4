// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// How far the parts of a chunk moved, or several chunks, relative to their size.
#include <span>

#include "engine/cache/policy.h"

namespace mc::cache {

// mean |now - before| / (mean |before| + epsilon), the means over all channels of all parts that were added.
class RelativeDistance {
  public:
    void add(std::span<const FrameDistance> frames) {
        for (const FrameDistance& frame : frames) {
            difference_ += frame.difference;
            magnitude_ += frame.magnitude;
        }
        frames_ += frames.size();
    }
    bool empty() const { return frames_ == 0; }
    double value(double epsilon = 0) const {
        return difference_ / double(frames_) / (magnitude_ / double(frames_) + epsilon);
    }

  private:
    double difference_ = 0, magnitude_ = 0;
    size_t frames_ = 0;
};

} // namespace mc::cache
