// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// Two of Python's conversions of strings.
#include <string>

namespace mc::text {

// urllib.parse.unquote_plus: blanks for "+", and "%C3%A9" read as bytes of UTF-8, U+FFFD for those that are none.
std::u32string percent_decoded(const std::u32string& text);

// str.lower(): by Unicode and not by the locale, a sigma at the end of a word as such.
std::u32string small_letters(const std::u32string& text);

} // namespace mc::text
