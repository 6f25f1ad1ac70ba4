// SPDX-License-Identifier: LGPL-2.1-or-later
#include "engine/text/repair.h"

#include <algorithm>
#include <cstdio>
#include <glib.h>
#include <string_view>

#include "engine/error.h"
#include "engine/text/html_unescape.h"
#include "engine/text/windows_1252.h"

namespace mc::text {
namespace {

constexpr int MOST_ROUNDS = 100; // of the repairs; each peels one layer off "&amp;amp;amp;"

using Text = std::u32string;

} // namespace

void check_length(const std::string& prompt, size_t most) {
    if (prompt.size() > most)
        throw Error(MC_ERROR_SETTINGS, "The prompt is " + std::to_string(prompt.size()) +
                                           " bytes long and may have at most " + std::to_string(most) +
                                           "; shorten it.");
}

Text code_points(const std::string& utf8) {
    Text text;
    const char *p = utf8.data(), *end = p + utf8.size();
    while (p < end) {
        const char* stop;
        bool valid = g_utf8_validate(p, end - p, &stop);
        for (; p < stop; p = g_utf8_next_char(p)) text += char32_t(g_utf8_get_char(p));
        if (valid) break;
        if (*stop != 0) { // GLib stops at NUL too, which is valid
            char message[160];
            std::snprintf(
                message, sizeof message,
                "The prompt is not UTF-8: byte %zu (0x%02X) fits no character; save or type it as UTF-8.",
                size_t(stop - utf8.data()), unsigned(static_cast<unsigned char>(*stop)));
            throw Error(MC_ERROR_SETTINGS, message);
        }
        text += U'\0';
        p = stop + 1;
    }
    return text;
}

std::string to_utf8(const Text& text) {
    std::string utf8;
    char buffer[6];
    for (char32_t c : text) utf8.append(buffer, size_t(g_unichar_to_utf8(c, buffer)));
    return utf8;
}

bool white_space(char32_t c) {
    return (c >= 0x09 && c <= 0x0D) || (c >= 0x1C && c <= 0x20) || c == 0x85 || c == 0xA0 || c == 0x1680 ||
           (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F ||
           c == 0x3000;
}

Text strip(const Text& text) {
    const auto first = std::find_if_not(text.begin(), text.end(), white_space);
    const auto last = std::find_if_not(text.rbegin(), std::reverse_iterator(first), white_space);
    return Text(first, last.base());
}

namespace {

Text normalize(const Text& text, GNormalizeMode mode) {
    std::string utf8 = to_utf8(text);
    g_autofree char* normal = g_utf8_normalize(utf8.data(), gssize(utf8.size()), mode);
    return code_points(normal);
}

// Sequences of several Latin letters in one code point. The ones people type on purpose (æ, œ, ß) stay.
std::u32string_view ligature(char32_t c) {
    switch (c) {
    case 0x0132:
        return U"IJ";
    case 0x0133:
        return U"ij";
    case 0x0149:
        return U"\u02BCn";
    case 0x01C4:
        return U"D\u017D";
    case 0x01C5:
        return U"D\u017E";
    case 0x01C6:
        return U"d\u017E";
    case 0x01C7:
        return U"LJ";
    case 0x01C8:
        return U"Lj";
    case 0x01C9:
        return U"lj";
    case 0x01CA:
        return U"NJ";
    case 0x01CB:
        return U"Nj";
    case 0x01CC:
        return U"nj";
    case 0x01F1:
        return U"DZ";
    case 0x01F2:
        return U"Dz";
    case 0x01F3:
        return U"dz";
    case 0xFB00:
        return U"ff";
    case 0xFB01:
        return U"fi";
    case 0xFB02:
        return U"fl";
    case 0xFB03:
        return U"ffi";
    case 0xFB04:
        return U"ffl";
    case 0xFB05:
        return U"\u017Ft";
    case 0xFB06:
        return U"st";
    default:
        return {};
    }
}

char32_t straight_quote(char32_t c) {
    if (c == 0x02BC || (c >= 0x2018 && c <= 0x201B)) return '\'';
    if (c >= 0x201C && c <= 0x201F) return '"';
    return c;
}

// The repairs that look at one code point at a time.
Text replace_characters(const Text& text) {
    Text out;
    for (char32_t stored : text) {
        char32_t c = windows_1252(stored);
        if (auto letters = ligature(c); !letters.empty()) {
            for (char32_t l : letters) out += straight_quote(l);
        } else if (c == 0x3000) {
            out += U' ';
        } else if (c >= 0xFF01 && c <= 0xFFEF) {
            out += normalize(Text{c}, G_NORMALIZE_ALL_COMPOSE);
        } else {
            out += straight_quote(c);
        }
    }
    return out;
}

Text replace_line_breaks(const Text& text) {
    Text out;
    for (size_t i = 0; i < text.size(); i++) {
        char32_t c = text[i];
        if (c == '\r' && i + 1 < text.size() && text[i + 1] == '\n') continue;
        out += c == '\r' || c == 0x2028 || c == 0x2029 || c == 0x85 ? U'\n' : c;
    }
    return out;
}

// "\033[" parameters letter: colours and cursor movements of terminals.
Text remove_terminal_escapes(const Text& text) {
    Text out;
    for (size_t i = 0; i < text.size(); i++) {
        if (text[i] == 0x1B && i + 1 < text.size() && text[i + 1] == '[') {
            size_t end = i + 2;
            while (end < text.size() &&
                   (text[end] == ';' || g_unichar_type(text[end]) == G_UNICODE_DECIMAL_NUMBER))
                end++;
            if (end < text.size() && text[end] < 0x80 && g_ascii_isalpha(char(text[end]))) {
                i = end;
                continue;
            }
        }
        out += text[i];
    }
    return out;
}

// Without effect on what is displayed. Those that are white space or steer how letters join are kept.
bool control(char32_t c) {
    return c <= 0x08 || c == 0x0B || (c >= 0x0E && c <= 0x1F) || c == 0x7F || (c >= 0x206A && c <= 0x206F) ||
           c == 0xFEFF || (c >= 0xFFF9 && c <= 0xFFFC);
}

Text repair_line(Text line, bool references) {
    for (int round = 0; round < MOST_ROUNDS; round++) {
        Text before = line;
        if (references) line = html_unescape_careful(line);
        line = remove_terminal_escapes(replace_line_breaks(replace_characters(line)));
        std::erase_if(line, control);
        line = normalize(line, G_NORMALIZE_DEFAULT_COMPOSE);
        if (line == before) return line;
    }
    throw Error(MC_ERROR_SETTINGS,
                "The prompt hides a reference like \"&amp;\" in too many others; write the "
                "character itself.");
}

} // namespace

Text repair(const Text& text) {
    Text out;
    bool references = true;
    for (size_t first = 0; first < text.size();) {
        size_t end = std::min(text.find(U'\n', first), text.size() - 1) + 1;
        Text line = text.substr(first, end - first);
        if (line.find(U'<') != line.npos) references = false; // it is HTML, and means what it says
        out += repair_line(line, references);
        first = end;
    }
    return out;
}

} // namespace mc::text
