// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// A whole video from a session, for tools that compare videos.
#include <cstdint>
#include <vector>

#include "engine/session/family.h"
#include "engine/session/session.h"
#include "tools/quality/quality.h"

namespace mc::bench {

struct Video {
    std::vector<uint8_t> rgb; // frame after frame
    size_t width = 0, height = 0;
    double seconds = 0; // from the request to the last frame in 8-bit RGB
    session::Stats stats{};
    int64_t turns_after_warmup = 0;   // of MotionCache, else all
    std::vector<int64_t> window_ends; // frames that the first window gives, the first two, ...; empty: there are none
    double denoising() const {
        return stats.seconds_transformer + stats.seconds_cache + stats.seconds_schedule;
    }
    quality::Video view() const { return {rgb, width, height}; }
};
// Of any family.
Video make_video(const std::shared_ptr<const session::Family>& model, session::Request request);

} // namespace mc::bench
