// SPDX-License-Identifier: LGPL-2.1-or-later
#include "engine/families/skyreels_v2/windows.h"

#include <algorithm>
#include <cstdint>
#include <limits>
#include <string>

#include "engine/error.h"

namespace mc::skyreels_v2 {
namespace {

constexpr int64_t MOST_WINDOWS = 1000000; // a week of video

[[noreturn]] void refuse(const std::string& message) {
    throw Error(MC_ERROR_SETTINGS, message);
}

int64_t round_up(int64_t value, int64_t step) {
    return (value + step - 1) / step * step;
}

int64_t pixel_frames(int64_t latents) {
    return 4 * (latents - 1) + 1;
}

int64_t window_count(int64_t latent_total, int64_t base, int64_t overlap) {
    return latent_total <= base ? 1 : 1 + (latent_total - base + base - overlap - 1) / (base - overlap);
}

// Names the property and the two legal values around the one given.
void check_whole_chunks(const char* property, int frames, int chunk) {
    const int latents = latent_frames(frames);
    if (latents % chunk == 0) return;
    std::string legal = std::to_string(pixel_frames(round_up(latents, chunk)));
    if (latents > chunk) legal = std::to_string(pixel_frames(latents / chunk * chunk)) + " or " + legal;
    refuse(std::string(property) + " " + std::to_string(frames) + " is " + std::to_string(latents) +
           " latent frames, no whole number of chunks of " + std::to_string(chunk) + "; take " + legal + ".");
}

} // namespace

int latent_frames(int frames) {
    return (frames - 1) / 4 + 1;
}

Length plan_length(int frames, int base_frames, int overlap_frames, int chunk, LongVideo joined_by) {
    const bool endless = frames == ENDLESS;
    if (frames < 1 && !endless)
        refuse("num-frames is " + std::to_string(frames) + " but must be at least 1, or -1 for a video without end.");
    if (chunk < 1)
        refuse("causal-block-size is " + std::to_string(chunk) + " but must be at least 1 latent frame.");
    if (base_frames < 1)
        refuse("base-num-frames is " + std::to_string(base_frames) + " but must be at least 1.");

    const int64_t base = latent_frames(base_frames);
    int64_t latents = endless ? ENDLESS : round_up((int64_t(frames) - 1 + 3) / 4 + 1, chunk);
    int64_t produced = endless ? ENDLESS : pixel_frames(latents);
    int64_t overlap = 0;
    if (endless || latents > base) {
        check_whole_chunks("base-num-frames", base_frames, chunk);
        if (overlap_frames < 1)
            refuse("overlap-history is " + std::to_string(overlap_frames) +
                   " but a video of more than one window needs at least 1 frame.");
        check_whole_chunks("overlap-history", overlap_frames, chunk);
        overlap = latent_frames(overlap_frames);
        if (overlap >= base)
            refuse("overlap-history " + std::to_string(overlap_frames) +
                   " leaves nothing new in a window of " + std::to_string(base_frames) +
                   " frames; lower it or raise base-num-frames.");
        // A joint of pixels drops overlap_frames frames though the prefix holds only the 4k + 1 of them that
        // fill latents.
        const int64_t lost_a_joint =
            joined_by == LongVideo::PIXEL ? overlap_frames - pixel_frames(overlap) : 0;
        while (!endless) {
            produced = pixel_frames(latents) - (window_count(latents, base, overlap) - 1) * lost_a_joint;
            if (produced >= frames) break;
            latents += round_up((frames - produced + 3) / 4, chunk);
        }
    }
    if (produced > std::numeric_limits<int>::max() || window_count(latents, base, overlap) > MOST_WINDOWS)
        refuse("num-frames " + std::to_string(frames) +
               " is too large; ask for fewer frames, or for a video without end (-1).");
    return {int(produced), int(latents), {int(latents), int(base), int(overlap)}};
}

WindowLengths::WindowLengths(int latent_total, int base, int overlap)
    : total_(latent_total), base_(base), overlap_(overlap),
      count_(latent_total == ENDLESS ? SIZE_MAX : size_t(window_count(latent_total, base, overlap))) {}

std::vector<int> window_lengths(int latent_total, int base, int overlap) {
    const WindowLengths lengths(latent_total, base, overlap);
    std::vector<int> windows;
    for (size_t i = 0; i < lengths.size(); i++) windows.push_back(lengths[i]);
    return windows;
}

} // namespace mc::skyreels_v2
