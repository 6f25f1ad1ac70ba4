// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// Character references of HTML ("&amp;", "&#233;", "&eacute"), by the rules of the HTML 5 standard for valid
// and for broken ones alike; what Python's html.unescape does. Text is held as code points.
#include <optional>
#include <string>
#include <string_view>

namespace mc::text {

// Every reference replaced by what it stands for. A semicolon may be missing where HTML 5 allows it.
std::u32string html_unescape(const std::u32string& text);

// The careful version for text that may not be HTML: only references that end in a semicolon, and names in
// capitals ("P&EACUTE;REZ") where HTML knows just the small ones.
std::u32string html_unescape_careful(const std::u32string& text);

// What "&name;" stands for, if HTML 5 has the name.
std::optional<std::u32string> html_entity(std::string_view name);

} // namespace mc::text
