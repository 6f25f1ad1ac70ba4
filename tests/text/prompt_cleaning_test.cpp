// SPDX-License-Identifier: LGPL-2.1-or-later
// Prompt cleaning against recorded results of ftfy and Python's html module, and text that is none.
// Arguments: cleaning_pairs.json, the folder of golden data.
#include "tests/check.h"

#include <fstream>
#include <nlohmann/json.hpp>

#include "engine/error.h"
#include "engine/text/prompt_cleaning.h"
#include "tests/golden/case_file.h"

using mc::text::clean_prompt;
using nlohmann::json;

namespace {

std::string pairs_file, golden_folder;

// Returns how many.
size_t check_pairs(const json& pairs) {
    for (const json& pair : pairs) {
        std::string cleaned = clean_prompt(pair[0]);
        if (cleaned != pair[1])
            mc::test::fail(__FILE__, __LINE__,
                           pair[0].dump(-1, ' ', true) + " becomes " + json(cleaned).dump(-1, ' ', true) +
                               ", expected " + pair[1].dump(-1, ' ', true));
    }
    return pairs.size();
}

} // namespace

TEST(prompts_are_cleaned_as_recorded) {
    std::ifstream file(pairs_file);
    CHECK(check_pairs(json::parse(file)) >= 150);
}

TEST(prompts_are_cleaned_as_in_the_golden_case) {
    CHECK(check_pairs(mc::golden::CaseFile::open(golden_folder, "unit_tokenizer").json.at("clean")) >= 6);
}

TEST(mojibake_is_left_alone) {
    CHECK_EQ(clean_prompt("caf\u00C3\u00A9"), "caf\u00C3\u00A9");
}

TEST(a_nul_inside_disappears) {
    CHECK_EQ(clean_prompt(std::string("a\0b \0 c\0", 8)), "ab c");
}

TEST(invalid_utf8_names_the_byte) {
    CHECK_ERROR(clean_prompt("ball \xFF"), MC_ERROR_SETTINGS, "byte 5 (0xFF)");
    CHECK_ERROR(clean_prompt("\xC0\x80"), MC_ERROR_SETTINGS, "byte 0 (0xC0)"); // overlong
    CHECK_ERROR(clean_prompt("\u00e9\xED\xA0\xBD\xED\xB2\xA9"), MC_ERROR_SETTINGS,
                "byte 2 (0xED)");                                                      // surrogates
    CHECK_ERROR(clean_prompt("\xF4\x90\x80\x80"), MC_ERROR_SETTINGS, "byte 0 (0xF4)"); // above U+10FFFF
    CHECK_ERROR(clean_prompt("a\x80"), MC_ERROR_SETTINGS, "byte 1 (0x80)");
    CHECK_ERROR(clean_prompt("ab\xE2\x82"), MC_ERROR_SETTINGS, "byte 2 (0xE2)"); // cut off
    CHECK_ERROR(clean_prompt(std::string("\0\0\xE2", 3)), MC_ERROR_SETTINGS, "byte 2 (0xE2)");
}

TEST(text_beyond_the_limit_is_refused) {
    CHECK_EQ(clean_prompt(std::string(65536, 'x')).size(), 65536u);
    CHECK_ERROR(clean_prompt(std::string(65537, 'x')), MC_ERROR_SETTINGS, "65537 bytes");
    CHECK_ERROR(clean_prompt(std::string(100000, 'x')), MC_ERROR_SETTINGS, "shorten");
}

TEST(references_nested_too_deep_are_refused) {
    auto nested = [](int depth) {
        std::string text = "&";
        for (int i = 0; i < depth; i++) text += "amp;";
        return text;
    };
    CHECK_EQ(clean_prompt(nested(90)), "&");
    CHECK_ERROR(clean_prompt(nested(16000)), MC_ERROR_SETTINGS, "too many");
}

int main(int argc, char** argv) {
    if (argc < 3) {
        std::fprintf(stderr, "usage: %s PAIRS.json GOLDEN_FOLDER [CASE...]\n", argv[0]);
        return 2;
    }
    pairs_file = argv[1];
    golden_folder = argv[2];
    return mc::test::run_tests(argc - 2, argv + 2);
}
