// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// How many tokens may be reused at once.
#include <cstdint>
#include <span>

namespace mc::cache {

// Of the tokens that are not due at most this share of all stays so: those with the
// smallest sums, and those that equal the last of them.
void limit_reuse(std::span<const float> sums, double share, std::span<uint8_t> due);

} // namespace mc::cache
