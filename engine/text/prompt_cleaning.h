// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// Prompt cleaning, as the reference pipelines do before the tokenizer (docs/algorithms.md#prompt-cleaning).
#include <string>

namespace mc::text {

// In this order:
//
//   1. the repairs that ftfy.fix_text makes by default, line by line until nothing changes any more: references like
//      "&eacute;" (not from the first line on that contains a "<"), control characters of windows-1252, Latin
//      ligatures, full and half width forms, curly quotes, line breaks, terminal escapes, control characters, Unicode
//      normal form C. Left out is its repair of text decoded with the wrong encoding ("Ã©" stays).
//   2. HTML references again, twice, by the rules of HTML 5 ("&amp;lt;" ends as "<").
//   3. white space: none at the ends, one blank for every run of it (what Unicode calls white space).
//
// A NUL inside the text is a control character and disappears. Throws MC_ERROR_SETTINGS for text that is not
// UTF-8 (naming the byte), that is longer than 64 KiB, or whose references unfold more than 100 times.
std::string clean_prompt(const std::string& prompt);

} // namespace mc::text
