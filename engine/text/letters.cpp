// SPDX-License-Identifier: LGPL-2.1-or-later
#include "engine/text/letters.h"

#include <algorithm>
#include <glib.h>
#include <string_view>

namespace mc::text {
namespace {

constexpr char32_t REPLACEMENT = 0xFFFD;

// Appends the character at bytes[at], or U+FFFD for the longest beginning of one. Returns the place behind it.
size_t append_character(std::string_view bytes, size_t at, std::u32string& out) {
    const auto byte = [&](size_t i) {
        return i < bytes.size() ? unsigned(static_cast<unsigned char>(bytes[i])) : 0;
    };
    const unsigned lead = byte(at);
    const int following = lead < 0x80   ? 0
                          : lead < 0xC2 ? -1
                          : lead < 0xE0 ? 1
                          : lead < 0xF0 ? 2
                          : lead < 0xF5 ? 3
                                        : -1;
    if (following < 0) {
        out += REPLACEMENT;
        return at + 1;
    }
    char32_t c = following == 0 ? lead : lead & (0x3F >> following);
    for (int i = 1; i <= following; i++) {
        const unsigned b = byte(at + size_t(i));
        unsigned least = 0x80, most = 0xBF;
        if (i == 1) { // neither overlong, nor a surrogate, nor beyond Unicode
            if (lead == 0xE0) least = 0xA0;
            if (lead == 0xED) most = 0x9F;
            if (lead == 0xF0) least = 0x90;
            if (lead == 0xF4) most = 0x8F;
        }
        if (b < least || b > most) {
            out += REPLACEMENT;
            return at + size_t(i);
        }
        c = c << 6 | (b & 0x3F);
    }
    out += c;
    return at + 1 + size_t(following);
}

void append_decoded(std::string_view ascii, std::u32string& out) {
    std::string bytes;
    for (size_t i = 0; i < ascii.size(); i++) {
        const int high = ascii[i] == '%' && i + 2 < ascii.size() ? g_ascii_xdigit_value(ascii[i + 1]) : -1;
        const int low = high >= 0 ? g_ascii_xdigit_value(ascii[i + 2]) : -1;
        bytes += low >= 0 ? char(high << 4 | low) : ascii[i];
        if (low >= 0) i += 2;
    }
    for (size_t i = 0; i < bytes.size();) i = append_character(bytes, i, out);
}

// In the meaning of Unicode's rule for sigma.
bool cased(char32_t c) {
    return g_unichar_isupper(c) || g_unichar_islower(c) || g_unichar_istitle(c);
}
bool ignorable(char32_t c) {
    constexpr std::u32string_view MARKS = U"'.:^`\u00a8\u00b7\u0387\u055f\u05f4\u2018\u2019\u2024\u2027";
    switch (g_unichar_type(c)) {
    case G_UNICODE_NON_SPACING_MARK:
    case G_UNICODE_ENCLOSING_MARK:
    case G_UNICODE_FORMAT:
    case G_UNICODE_MODIFIER_LETTER:
    case G_UNICODE_MODIFIER_SYMBOL:
        return true;
    default:
        return MARKS.find(c) != MARKS.npos;
    }
}

bool ends_word(const std::u32string& text, size_t at) {
    const auto before = std::find_if_not(text.rbegin() + long(text.size() - at), text.rend(), ignorable);
    if (before == text.rend() || !cased(*before)) return false;
    const auto behind = std::find_if_not(text.begin() + long(at) + 1, text.end(), ignorable);
    return behind == text.end() || !cased(*behind);
}

} // namespace

std::u32string percent_decoded(const std::u32string& text) {
    std::u32string out;
    // A run of it: escaped bytes on both sides of another character do not make one together.
    std::string ascii;
    for (char32_t c : text) {
        if (c < 0x80) {
            ascii += c == '+' ? ' ' : char(c);
        } else {
            append_decoded(ascii, out);
            ascii.clear();
            out += c;
        }
    }
    append_decoded(ascii, out);
    return out;
}

std::u32string small_letters(const std::u32string& text) {
    std::u32string out;
    for (size_t i = 0; i < text.size(); i++) {
        if (text[i] == 0x130) { // capital I with a dot
            out += U"i\u0307";
        } else if (text[i] == 0x3A3) {
            out += ends_word(text, i) ? char32_t(0x3C2) : char32_t(0x3C3);
        } else {
            out += char32_t(g_unichar_tolower(text[i]));
        }
    }
    return out;
}

} // namespace mc::text
