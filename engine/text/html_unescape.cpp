// SPDX-License-Identifier: LGPL-2.1-or-later
#include "engine/text/html_unescape.h"

#include <algorithm>
#include <glib.h>
#include <iterator>
#include <optional>
#include <string_view>

#include "engine/text/windows_1252.h"

namespace mc::text {
namespace {

struct Entity {
    std::string_view name;
    char32_t value[2];
    bool bare; // valid without its semicolon
};

constexpr Entity ENTITIES[] = {
#include "engine/text/html_entities.inc"
};
constexpr size_t LONGEST_NAME = 32;    // that html_unescape looks at, without the semicolon
constexpr size_t LONGEST_CAREFUL = 24; // of letters and digits between "&" and ";"
constexpr char32_t REPLACEMENT = 0xFFFD;

const Entity* find(std::string_view name) {
    auto it = std::lower_bound(std::begin(ENTITIES), std::end(ENTITIES), name,
                               [](const Entity& e, std::string_view n) { return e.name < n; });
    return it != std::end(ENTITIES) && it->name == name ? it : nullptr;
}

void append(std::u32string& out, const Entity& entity) {
    out += entity.value[0];
    if (entity.value[1]) out += entity.value[1];
}

bool digit(char32_t c) {
    return c >= '0' && c <= '9';
}
bool letter(char32_t c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}
int hex_digit(char32_t c) {
    if (digit(c)) return int(c - '0');
    if (c >= 'a' && c <= 'f') return int(c - 'a' + 10);
    if (c >= 'A' && c <= 'F') return int(c - 'A' + 10);
    return -1;
}

void append_number(std::u32string& out, uint32_t n) {
    if (n >= 0x80 && n <= 0x9F) {
        out += windows_1252(n); // what HTML 5 says such a number means
    } else if (n == 0 || n > 0x10FFFF || (n >= 0xD800 && n <= 0xDFFF)) {
        out += REPLACEMENT;
    } else {
        bool control = (n < 0x20 && n != '\t' && n != '\n' && n != '\f' && n != '\r') || n == 0x7F;
        bool noncharacter = (n & 0xFFFE) == 0xFFFE || (n >= 0xFDD0 && n <= 0xFDEF);
        if (!control && !noncharacter) out += char32_t(n);
    }
}

// A numeric reference at text[at] == '&', text[at + 1] == '#'. Returns the position behind it, or `at` when
// there is none.
size_t numeric(const std::u32string& text, size_t at, std::u32string& out) {
    size_t i = at + 2;
    bool hex = i < text.size() && (text[i] == 'x' || text[i] == 'X');
    if (hex) i++;
    size_t first = i;
    uint32_t n = 0;
    for (; i < text.size(); i++) {
        int d = hex_digit(text[i]);
        if (d < 0 || (!hex && d > 9)) break;
        n = std::min<uint32_t>(n * (hex ? 16 : 10) + uint32_t(d), 0x110000);
    }
    if (i == first) return at;
    append_number(out, n);
    return i < text.size() && text[i] == ';' ? i + 1 : i;
}

bool ends_name(char32_t c) {
    return c == '\t' || c == '\n' || c == '\f' || c == ' ' || c == '<' || c == '&' || c == '#' || c == ';';
}

// A named reference at text[at] == '&', as numeric().
size_t named(const std::u32string& text, size_t at, std::u32string& out) {
    std::string name;
    size_t end = at + 1;
    while (end < text.size() && end - at <= LONGEST_NAME && !ends_name(text[end])) end++;
    for (size_t i = at + 1; i < end; i++) name += text[i] < 0x80 ? char(text[i]) : '\x7F'; // in no name
    bool semicolon = end < text.size() && text[end] == ';';
    const Entity* whole = find(name);
    if (whole && (semicolon || whole->bare)) {
        append(out, *whole);
        return end + semicolon;
    }
    for (size_t length = name.size(); length >= 2; length--) {
        const Entity* part = find(std::string_view(name).substr(0, length));
        if (part && part->bare) {
            append(out, *part);
            return at + 1 + length;
        }
    }
    return at;
}

// The value of a name in capitals, where HTML knows only the small one and would not read it otherwise.
std::optional<std::u32string> capital(const std::string& name) {
    if (std::any_of(name.begin(), name.end(), [](char c) { return c >= 'a' && c <= 'z'; })) return {};
    for (size_t length = name.size(); length >= 2; length--) {
        const Entity* part = find(std::string_view(name).substr(0, length));
        if (part && part->bare) return {};
    }
    std::string small = name;
    for (char& c : small) c = g_ascii_tolower(c);
    const Entity* entity = find(small);
    if (!entity) return {};
    std::string value;
    for (char32_t point : entity->value) {
        char buffer[6];
        if (point) value.append(buffer, size_t(g_unichar_to_utf8(point, buffer)));
    }
    g_autofree char* upper = g_utf8_strup(value.data(), gssize(value.size()));
    std::u32string result;
    for (const char* p = upper; *p; p = g_utf8_next_char(p)) result += char32_t(g_utf8_get_char(p));
    return result;
}

} // namespace

std::u32string html_unescape(const std::u32string& text) {
    std::u32string out;
    for (size_t i = 0; i < text.size();) {
        size_t next = i;
        if (text[i] == '&' && i + 1 < text.size())
            next = text[i + 1] == '#' ? numeric(text, i, out) : named(text, i, out);
        if (next == i) out += text[next++];
        i = next;
    }
    return out;
}

std::optional<std::u32string> html_entity(std::string_view name) {
    const Entity* entity = find(name);
    if (!entity) return {};
    std::u32string value;
    append(value, *entity);
    return value;
}

std::u32string html_unescape_careful(const std::u32string& text) {
    std::u32string out;
    for (size_t i = 0; i < text.size();) {
        out += text[i];
        if (text[i++] != '&') continue;
        bool number = i < text.size() && text[i] == '#';
        size_t first = i + number, end = first;
        while (end < text.size() && end - first < LONGEST_CAREFUL && (letter(text[end]) || digit(text[end])))
            end++;
        if (end == first || end == text.size() || text[end] != ';') continue;

        std::u32string value;
        if (number) {
            value = html_unescape(text.substr(i - 1, end + 1 - (i - 1)));
            if (value.find(U';') != value.npos) continue; // only a part was a reference
        } else {
            std::string name(text.begin() + long(first), text.begin() + long(end));
            if (const Entity* entity = find(name)) {
                append(value, *entity);
            } else if (auto upper = capital(name)) {
                value = *upper;
            } else {
                continue;
            }
        }
        out.pop_back();
        out += value;
        i = end + 1;
    }
    return out;
}

} // namespace mc::text
