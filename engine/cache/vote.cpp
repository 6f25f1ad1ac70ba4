// SPDX-License-Identifier: LGPL-2.1-or-later
#include "engine/cache/vote.h"

namespace mc::cache {

std::vector<uint8_t> vote(std::span<const uint8_t> due, int frames, double share) {
    const size_t positions = due.size() / size_t(frames);
    std::vector<uint8_t> voted(due.size());
    for (size_t p = 0; p < positions; p++) {
        int wanting = 0;
        for (size_t t = p; t < due.size(); t += positions) wanting += due[t];
        const bool agreed = double(wanting) / frames > share;
        for (size_t t = p; t < due.size(); t += positions) voted[t] = agreed;
    }
    return voted;
}

} // namespace mc::cache
