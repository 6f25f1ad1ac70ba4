// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// How many tokens may be reused at once.
#include <cstdint>
#include <span>

namespace mc::cache {

// At most this share of all tokens stays reused (not due): those with the smallest sums, and those that equal the last
// of them. The others become due. due: [tokens].
void limit_reuse(std::span<const float> sums, double share, std::span<uint8_t> due);

} // namespace mc::cache
