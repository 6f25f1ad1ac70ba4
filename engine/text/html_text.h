// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// The text of an HTML document without its tags, as Beautiful Soup over Python's html.parser reads it.
#include <string>

namespace mc::text {

// Tags, comments and declarations are left out, and with them the contents of script, style, template, rt and rp.
// Character references are resolved; a name that HTML does not have loses its semicolon ("&cat;" becomes "&cat"), and
// one that the text ends in stays. A "<" in front of anything but a letter, "/", "!" or "?" is text, and so is a tag
// without an end. Not imitated is what versions of those libraries do differently: tags with quotes in wrong places,
// CDATA, tags behind a "&#" without a number.
std::u32string html_text(const std::u32string& document);

} // namespace mc::text
