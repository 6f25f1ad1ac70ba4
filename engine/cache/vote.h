// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// Frames of a chunk agree on which positions are due, so that a still background does not flicker.
#include <cstdint>
#include <span>
#include <vector>

namespace mc::cache {

// due: [frames, positions]. A position is due in all frames when it is due in more than `share` of them.
std::vector<uint8_t> vote(std::span<const uint8_t> due, int frames, double share);

} // namespace mc::cache
