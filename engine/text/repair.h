// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// What the cleanings of both series share: code points, white space, and the repairs that ftfy.fix_text makes.
#include <string>

namespace mc::text {

// Throws MC_ERROR_SETTINGS for a prompt of more bytes.
void check_length(const std::string& prompt, size_t most);

// Throws MC_ERROR_SETTINGS for text that is not UTF-8, naming the byte.
std::u32string code_points(const std::string& utf8);
std::string to_utf8(const std::u32string& text);

// What Unicode calls white space, and Python's str.isspace().
bool white_space(char32_t c);
std::u32string strip(const std::u32string& text); // none at the ends

// The repairs that ftfy.fix_text makes by default, line by line until nothing changes any more: references like
// "&eacute;" (not from the first line on that contains a "<"), control characters of windows-1252, Latin ligatures,
// full and half width forms, curly quotes, line breaks, terminal escapes, control characters, Unicode normal form C.
// Left out is its repair of text decoded with the wrong encoding ("Ã©" stays). Throws MC_ERROR_SETTINGS for references
// that unfold more than 100 times.
std::u32string repair(const std::u32string& text);

} // namespace mc::text
