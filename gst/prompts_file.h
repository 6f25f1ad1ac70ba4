// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// The file of the property prompts-file: one prompt per line, shown one after the other. No GStreamer in it.
//
//     # a comment; blank lines are skipped
//     8s: a red ball bouncing over green hills
//     48f: a blue ball bouncing over green hills
//     a white boat moving left on the sea
//
// How long each prompt stays, in seconds or frames; else DEFAULT_SECONDS. The last one stays to the end.
#include <cstdint>
#include <string>
#include <vector>

namespace mc::gst {

struct TimedPrompt {
    static constexpr double DEFAULT_SECONDS = 8;
    std::string prompt;
    double seconds = DEFAULT_SECONDS;
    int64_t frames = 0; // instead of seconds, where it is not 0
};

// Throws mc::Error: MC_ERROR_NOT_FOUND, MC_ERROR_READ, or MC_ERROR_SETTINGS with the number of the line and what is
// wrong with it.
std::vector<TimedPrompt> read_prompts_file(const std::string& path);

} // namespace mc::gst
