// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// Prompt cleaning, as SkyReels-V2's references do before the tokenizer (docs/algorithms.md#prompt-cleaning).
#include <string>

namespace mc::text {

// In this order:
//
//   1. the repairs of engine/text/repair.h.
//   2. HTML references again, twice, by the rules of HTML 5 ("&amp;lt;" ends as "<").
//   3. white space: none at the ends, one blank for every run of it (what Unicode calls white space).
//
// A NUL inside the text is a control character and disappears. Throws MC_ERROR_SETTINGS for text that is not
// UTF-8 (naming the byte), that is longer than 64 KiB, or whose references unfold more than 100 times.
std::string clean_prompt(const std::string& prompt);

} // namespace mc::text
