// SPDX-License-Identifier: LGPL-2.1-or-later
#include "engine/text/caption_cleaning.h"

#include <algorithm>
#include <glib.h>
#include <memory>
#include <span>
#include <vector>

#include "engine/error.h"
#include "engine/text/html_text.h"
#include "engine/text/html_unescape.h"
#include "engine/text/letters.h"
#include "engine/text/repair.h"

namespace mc::text {
namespace {

// Bytes. The library looks through the text anew at each match: the limit bounds the time.
constexpr size_t LONGEST = 16384;

// What Python's \w, \d, \s and \b mean, written out: the library's own depend on its version.
#define W "[\\p{L}\\p{N}_]"
#define D "\\p{Nd}"
#define SPACES                                                                                               \
    "\\x09-\\x0d\\x1c-\\x20\\x85\\xa0\\x{1680}\\x{2000}-\\x{200a}\\x{2028}\\x{2029}\\x{202f}\\x{205f}\\x{3000}"
#define S "[" SPACES "]"
#define NOT_S "[^" SPACES "]"
#define B "(?:(?<=" W ")(?!" W ")|(?<!" W ")(?=" W "))"
#define FILES "(?:png|jpg|jpeg|bmp|webp|eps|pdf|apk|mp4)"
// An address: a scheme, or a host with one of these endings and what follows it. Of a run of characters that hosts may
// have only the first place between words is tried, since a match at a later one would begin there too: without that a
// long run takes quadratic time.
#define HOST "[a-zA-Z0-9.\\-]"
#define ADDRESS(SCHEMES)                                                                                     \
    B SCHEMES ":(?:/{1,3}|[a-zA-Z0-9%])|"                                                                    \
              "(?:\\G|(?<!" HOST "))(?:(?<=" W ")[a-zA-Z0-9]*+|(?<!" W ")[.\\-]*+)\\K"                       \
              "" HOST "+[.](?:com|co|ru|net|org|edu|gov|it)[\\p{L}\\p{N}_/-]*" B "/?(?!@)"

// Replaces matches; the places are those of the published pattern's, the pattern may be a faster one.
class Replacement {
  public:
    Replacement(const char* pattern, const char* by) : by_(by) {
        GError* error = nullptr;
        regex_.reset(g_regex_new(pattern, G_REGEX_NEWLINE_LF, GRegexMatchFlags(0), &error), g_regex_unref);
        if (!regex_) g_error("%s: %s", pattern, error->message); // a fault in this file
    }
    std::string operator()(const std::string& text) const {
        g_autoptr(GError) error = nullptr;
        g_autofree char* out = g_regex_replace(regex_.get(), text.data(), gssize(text.size()), 0, by_,
                                               GRegexMatchFlags(0), &error);
        if (!out)
            throw Error(MC_ERROR_SETTINGS,
                        "The prompt cannot be cleaned; shorten it, or write plain sentences.",
                        error->message);
        return out;
    }

  private:
    std::shared_ptr<GRegex> regex_;
    const char* by_;
};

std::string replace_all(std::span<const Replacement> replacements, std::string text) {
    for (const Replacement& r : replacements) text = r(text);
    return text;
}

std::u32string person(std::u32string text) {
    constexpr std::u32string_view TAG = U"<person>";
    for (size_t at = 0; (at = text.find(TAG, at)) != text.npos;) text.replace(at, TAG.size(), U"person");
    return text;
}

// More than three of "-" and "_": they stand between words.
std::string part_words(std::string text) {
    const auto joint = [](char c) { return c == '-' || c == '_'; };
    if (std::count_if(text.begin(), text.end(), joint) > 3)
        std::replace_if(text.begin(), text.end(), joint, ' ');
    return text;
}

std::string without_addresses(const std::string& text) {
    static const std::vector<Replacement> ALL{{ADDRESS("https?"), ""}, {ADDRESS("www"), ""}};
    return replace_all(ALL, text);
}

std::string without_marks(const std::string& text) {
    static const std::vector<Replacement> ALL{
        {"@" W "+" B, ""}, // names of users
        // Strokes, phonetic extensions, enclosed and compatible characters, extension A, hexagrams, Chinese characters.
        {"[\\x{31c0}-\\x{9fff}]+", ""},
        {"[\\x{2d}\\x{58a}\\x{5be}\\x{1400}\\x{1806}\\x{2010}-\\x{2015}\\x{2e17}\\x{2e1a}\\x{2e3a}\\x{2e3b}\\x{2e40}"
         "\\x{301c}\\x{3030}\\x{30a0}\\x{fe31}\\x{fe32}\\x{fe58}\\x{fe63}\\x{ff0d}]+",
         "-"}, // dashes
        {"[`\u00b4\u00ab\u00bb\u201c\u201d\u00a8]", "\""},
        {"[\u2018\u2019]", "'"},
        {"&quot;?", ""},
        {"&amp", ""},
        {D "{1,3}\\." D "{1,3}\\." D "{1,3}\\." D "{1,3}", " "}, // addresses of hosts
        {D ":" D D S "+$", ""},
        {"\\\\n", " "}, // a line break that was written out
        {"#" D "{1,3}" B, ""},
        {"#" D "{5,}" B, ""},
        {B D "{6,}" B, ""},
        {"(?<!" NOT_S ")" NOT_S "+\\." FILES, ""}, // names of files
        {"[\"']{2,}", "\""},
        {"\\.{2,}", " "},
        {"[#\u00ae\u2022\u00a9\u2122&@\u00b7\u00ba\u00bd\u00be\u00bf\u00a1\u00a7~)(\\]\\[}{|\\\\/*]+", " "},
        {"(?<!" S ")" S "++\\." S "+", " "},
    };
    return replace_all(ALL, text);
}

std::string without_codes(const std::string& text) {
    static const std::vector<Replacement> ALL{
        {B "[a-zA-Z]{1,3}" D "{3,15}" B, ""},
        {B "[a-zA-Z]+" D "+[a-zA-Z]+" B, ""},
        {B D "+[a-zA-Z]+" D "+" B, ""},
        {"(?:worldwide" S "+)?(?:free" S "+)?shipping", ""},
        {"(?:free" S ")?download(?:" S "free)?", ""},
        {B "click" B S "(?:for|on)" S W "+", ""},
        {B FILES "(?:" S "images?)?", ""},
        {B "page" S "+" D "+" B, ""},
        {B D "*[a-zA-Z]+" D "+[a-zA-Z]+" D "+(?:[a-zA-Z]|" D ")*" B, " "},
        {B D "+(?:\\." D "*)?[x\u0445\u00d7]" D "+(?:\\." D "*)?" B, ""}, // sizes
        {B S "+:" S "+", ": "},
        {"((?!" D ")(?s:.)[,./])" B, "\\1 "},
        {S "+", " "},
        {"^[\"']((?s:.)+)[\"']$", "\\1"},
        {"^['_,\\-:;]", ""},
        {"['_,\\-:+]$", ""},
        {"^\\." NOT_S "+$", ""},
    };
    return replace_all(ALL, text);
}

} // namespace

std::string clean_caption_once(const std::string& caption) {
    std::u32string decoded = percent_decoded(code_points(caption));
    // A control character like any other, which the repairs take away; GLib would end the text there.
    std::replace(decoded.begin(), decoded.end(), U'\0', U'\x01');
    std::string text = to_utf8(person(small_letters(strip(decoded))));
    text = to_utf8(html_text(code_points(without_addresses(text))));
    text = part_words(without_marks(text));
    text = to_utf8(strip(html_unescape(html_unescape(repair(code_points(text))))));
    return to_utf8(strip(code_points(without_codes(text))));
}

std::string clean_caption(const std::string& caption) {
    check_length(caption, LONGEST);
    return clean_caption_once(clean_caption_once(caption));
}

} // namespace mc::text
