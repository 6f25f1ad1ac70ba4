// SPDX-License-Identifier: LGPL-2.1-or-later
#include "engine/text/html_text.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "engine/text/html_unescape.h"
#include "engine/text/repair.h"

namespace mc::text {
namespace {

using Text = std::u32string;
using View = std::u32string_view;
constexpr size_t NONE = View::npos;

bool letter(char32_t c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}
bool digit(char32_t c) {
    return c >= '0' && c <= '9';
}

bool hex_digit(char32_t c) {
    return digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

// Behind the ">" of the start tag at text[at] == '<', or NONE. A ">" in a quoted value does not count, and a value is
// quoted only behind "=".
size_t tag_end(View text, size_t at) {
    bool value = false; // the next character is the first of a value
    for (size_t i = at + 1; i < text.size(); i++) {
        const char32_t c = text[i];
        if (c == '>') return i + 1;
        if (value && (c == '"' || c == '\'')) {
            i = text.find(c, i + 1);
            if (i == NONE) return NONE;
            value = false;
        } else if (!white_space(c)) {
            value = c == '=';
        }
    }
    return NONE;
}

// Behind the markup at text[at] == '<'; `at` where it is text; NONE where it has no end.
size_t markup_end(View text, size_t at) {
    const auto behind = [&](View end, size_t from) {
        const size_t found = text.find(end, from);
        return found == NONE ? NONE : found + end.size();
    };
    if (at + 1 == text.size()) return at;
    const char32_t c = text[at + 1];
    if (letter(c)) return tag_end(text, at);
    if (text.substr(at, 4) == U"<!--") return behind(U"-->", at + 4);
    if (c == '/' || c == '!' || c == '?') return behind(U">", at + 2);
    return at;
}

// Of a tag that begins at `at` with "<" or "</", in small letters.
Text name_of(View text, size_t at) {
    Text name;
    for (size_t i = at; i < text.size() && !white_space(text[i]) && text[i] != '/' && text[i] != '>'; i++)
        name += text[i] >= 'A' && text[i] <= 'Z' ? text[i] + ('a' - 'A') : text[i];
    return name;
}

bool hidden(View name) {
    constexpr std::array<View, 5> NAMES{U"script", U"style", U"template", U"rt", U"rp"};
    return std::find(NAMES.begin(), NAMES.end(), name) != NAMES.end();
}

// Appends what the reference at text[at] == '&' stands for. Returns the place behind it.
size_t reference(View text, size_t at, Text& out) {
    size_t end = at + 1;
    const bool number = end < text.size() && text[end] == '#';
    if (number) {
        const bool hex = end + 1 < text.size() && (text[end + 1] == 'x' || text[end + 1] == 'X');
        end += hex ? 2 : 1;
        const size_t first = end;
        while (end < text.size() && (hex ? hex_digit(text[end]) : digit(text[end]))) end++;
        if (end == first || end == text.size() || hex_digit(text[end])) {
            out += text.substr(at, end - at);
            return end;
        }
        out += html_unescape(Text(text.substr(at, end - at)) + U';');
    } else {
        while (end < text.size() &&
               (letter(text[end]) ||
                (end > at + 1 && (digit(text[end]) || text[end] == '-' || text[end] == '.'))))
            end++;
        // It ends in front of a character that is neither letter nor digit, if there is one.
        if (end == text.size()) {
            while (end > at + 1 && (letter(text[end - 1]) || digit(text[end - 1]))) end--;
            if (end > at + 1) end--;
        }
        if (end == at + 1) {
            if (at + 2 != text.size() || !letter(text[at + 1])) out += U'&'; // else html.parser loses it
            return at + 1;
        }
        const View name = text.substr(at + 1, end - at - 1);
        const auto value = html_entity(std::string(name.begin(), name.end()));
        out += value ? *value : U'&' + Text(name);
    }
    return text[end] == ';' ? end + 1 : end;
}

} // namespace

std::u32string html_text(const std::u32string& document) {
    const View text = document;
    Text out, hiding; // hiding: the element whose contents are left out
    for (size_t at = 0; at < text.size();) {
        const char32_t c = text[at];
        if (c == '<') {
            const size_t end = markup_end(text, at);
            if (end != NONE && end != at) {
                const bool closing = text[at + 1] == '/';
                const Text name = name_of(text, at + (closing ? 2 : 1));
                if (closing && name == hiding) hiding.clear();
                if (!closing && hiding.empty() && hidden(name) && text[end - 2] != '/') hiding = name;
                at = end;
                continue;
            }
        }
        Text piece;
        const size_t next = c == '&' ? reference(text, at, piece) : at + 1;
        if (c != '&') piece = c;
        if (hiding.empty()) out += piece;
        at = next;
    }
    return out;
}

} // namespace mc::text
