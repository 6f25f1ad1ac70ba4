// SPDX-License-Identifier: LGPL-2.1-or-later
// Cleaning of MAGI-1's captions against recorded results of the published function; text that takes long or is none.
// Arguments: caption_pairs.json, the golden table caption_cleaning.json.
#include "tests/check.h"

#include <clocale>
#include <fstream>
#include <nlohmann/json.hpp>

#include "engine/error.h"
#include "engine/text/caption_cleaning.h"
#include "engine/text/html_text.h"

using mc::text::clean_caption;
using mc::text::clean_caption_once;
using nlohmann::json;

namespace {

std::string pairs_file, golden_file;

void check_caption(const json& caption, const json& once, const json& twice) {
    const std::string got_once = clean_caption_once(caption), got_twice = clean_caption(caption);
    if (got_once != once || got_twice != twice)
        mc::test::fail(__FILE__, __LINE__,
                       caption.dump(-1, ' ', true) + " becomes " + json(got_once).dump(-1, ' ', true) +
                           " and " + json(got_twice).dump(-1, ' ', true) + ", expected " +
                           once.dump(-1, ' ', true) + " and " + twice.dump(-1, ' ', true));
}

json read(const std::string& file) {
    std::ifstream stream(file);
    return json::parse(stream);
}

} // namespace

TEST(captions_are_cleaned_as_in_the_golden_table) {
    const json table = read(golden_file);
    for (const json& row : table.at("pairs"))
        check_caption(row.at("input"), row.at("cleaned_once"), row.at("cleaned_twice"));
    CHECK_EQ(table.at("pairs").size(), 64u);
}

TEST(captions_are_cleaned_as_recorded) {
    const json table = read(pairs_file);
    for (const json& row : table) check_caption(row[0], row[1], row[2]);
    CHECK(table.size() >= 75);
}

TEST(capitals_do_not_depend_on_the_locale) {
    const bool turkish = std::setlocale(LC_ALL, "tr_TR.UTF-8");
    CHECK_EQ(clean_caption("ICE"), "ice");
    if (turkish) std::setlocale(LC_ALL, "C");
}

// Texts for which a pattern as it was published tries each beginning with each end.
TEST(long_runs_are_cleaned) {
    const auto many = [](const std::string& piece) {
        std::string text;
        while (text.size() + piece.size() < 8192) text += piece;
        return text;
    };
    for (const char* piece : {"x",  "a.", "a.com@", "1",        "1.", "- ",         " ",     "\"",    "a1",
                              "x/", "<",  "<a ",    "<a='",     "&",  "&#",         "&#1",   "&amp;", ".jpg",
                              " .", " :", "@",      "\xCE\xA3", "'",  "worldwide ", "page ", "%4"})
        clean_caption(many(piece) + "!");
    CHECK_EQ(clean_caption(many("x")), many("x"));
    CHECK_EQ(clean_caption(many("a.com ")), "");
}

TEST(what_is_no_text_or_too_long_is_refused) {
    CHECK_ERROR(clean_caption("ball \xFF"), MC_ERROR_SETTINGS, "byte 5 (0xFF)");
    CHECK_ERROR(clean_caption(std::string(16385, 'x')), MC_ERROR_SETTINGS,
                "16385 bytes long and may have at most 16384");
    // Twice as long on the way: the limit is that of what was given.
    std::string dots;
    while (dots.size() + 2 <= 16384) dots += "a,";
    CHECK(clean_caption(dots).size() > 16384);
}

TEST(markup_is_left_out) {
    using mc::text::html_text;
    CHECK(html_text(U"<b>a</b> <br/>b<!-- c --> <style>d</style><!doctype e>") == U"a b ");
    CHECK(html_text(U"a < b, <3, a <b and <i") == U"a < b, <3, a <b and <i");
    CHECK(html_text(U"&lt;b&gt; &eacute &none; &#65;&#x42;") == U"<b> \u00e9 &none AB");
}

int main(int argc, char** argv) {
    if (argc < 3) {
        std::fprintf(stderr, "usage: %s PAIRS.json GOLDEN.json [CASE...]\n", argv[0]);
        return 2;
    }
    pairs_file = argv[1];
    golden_file = argv[2];
    return mc::test::run_tests(argc - 2, argv + 2);
}
