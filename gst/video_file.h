// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// Reads the end of a video file as 8-bit RGB, of any kind that decodebin plays.
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace mc::gst {

struct VideoFile {
    int width = 0, height = 0, frames = 0;
    int frame_rate_n = 0, frame_rate_d = 1;
    std::vector<uint8_t> rgb; // [frames, height, width, 3]
};

// Its last frames, `most` at most, resampled to the rate, pixels made square. `property`: name of the property that
// holds the path, for the error message. Asks give_up now and then, and returns without frames when it says so. Throws
// mc::Error: MC_ERROR_NOT_FOUND, MC_ERROR_READ.
VideoFile read_video_file(const std::string& path, const char* property, int frame_rate_n, int frame_rate_d,
                          size_t most, const std::function<bool()>& give_up);

} // namespace mc::gst
