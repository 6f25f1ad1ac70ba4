// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// Where in the picture the work went: what was computed of each token of the latent frames of one delivered chunk.
#include <algorithm>
#include <cstdint>
#include <vector>

namespace mc::sampler {

struct TokenMap {
    int frames, rows, columns;     // latent frames; tokens
    std::vector<uint8_t> computed; // [frames, rows, columns]: share of turns that computed the token, 255: all
    std::vector<float> motion;     // [frames, rows, columns]: last weight of a token's motion; empty: not measured

    // Of a chunk of which the counts alone are known.
    static TokenMap even(int64_t computed, int64_t all) {
        return {1, 1, 1, {share(computed, all)}, {}};
    }
    static uint8_t share(int64_t part, int64_t all) {
        return uint8_t(all > 0 ? (255 * part + all / 2) / all : 0);
    }
    // The latent frame of picture `index` of those that were decoded of it, `made` in all: four each, counted from the
    // end, since the first of a video is one picture and an overlap is dropped.
    int frame_of(int64_t index, int64_t made) const {
        return int(std::max<int64_t>(0, frames - 1 - (made - 1 - index) / 4));
    }
};

} // namespace mc::sampler
