// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// How far a video is, as the message "motioncache-progress": at most a few a second, however fast the steps are.
#include <gst/gst.h>

#include <chrono>

#include "engine/motioncache.h"

namespace mc::gst {

// How much of the work is done, and what is left; -1: not known, or there is no end.
struct Remaining {
    double fraction; // 0..1
    double seconds;  // that the rest takes, at the rate so far; time spent waiting for downstream is not counted
};
Remaining remaining_of(const McStats& stats);
// Fields: see the documentation of the element. (transfer full)
GstStructure* progress_of(const McStats& stats);

// From one thread.
class Pulse {
  public:
    bool due(); // a moment has passed since it was last true
    void forget() { last_ = {}; }

  private:
    std::chrono::steady_clock::time_point last_{};
};

} // namespace mc::gst
