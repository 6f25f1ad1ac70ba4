// SPDX-License-Identifier: LGPL-2.1-or-later
#include "engine/text/prompt_cleaning.h"

#include "engine/text/html_unescape.h"
#include "engine/text/repair.h"

namespace mc::text {
namespace {

constexpr size_t LONGEST = 65536; // bytes

std::u32string collapse_white_space(const std::u32string& text) {
    std::u32string out;
    for (char32_t c : text) {
        if (!white_space(c)) {
            out += c;
        } else if (!out.empty() && out.back() != ' ') {
            out += U' ';
        }
    }
    if (!out.empty() && out.back() == ' ') out.pop_back();
    return out;
}

} // namespace

std::string clean_prompt(const std::string& prompt) {
    check_length(prompt, LONGEST);
    return to_utf8(collapse_white_space(html_unescape(html_unescape(repair(code_points(prompt))))));
}

} // namespace mc::text
