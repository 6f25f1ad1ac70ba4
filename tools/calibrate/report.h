// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// What the user sees: progress on stderr, the table on stdout.
#include <span>
#include <string>

#include "engine/cache/settings.h"

namespace mc::calibrate {

struct Trial;
struct Choice;

[[gnu::format(printf, 1, 2)]] void progress(const char* format, ...); // a line, with the time since the start
std::string text_of(const cache::MotionCacheSettings& settings);                 // "reuse solver, warmup 0, ..."
void print_table(std::span<const Trial> trials, const Choice& choice);

} // namespace mc::calibrate
