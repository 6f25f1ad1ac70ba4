// SPDX-License-Identifier: LGPL-2.1-or-later
#include "gst/prompts_file.h"

#include <glib.h>

#include <cmath>
#include <fstream>
#include <regex>

#include "engine/error.h"

namespace mc::gst {
namespace {

constexpr size_t MOST_BYTES = 16384, MOST_LINES = 10000;
constexpr double MOST_SECONDS = 1000000, MOST_FRAMES = 1e9;

std::string trimmed(const std::string& text) {
    const char* const space = " \t\r\n";
    const size_t begin = text.find_first_not_of(space);
    return begin == std::string::npos ? "" : text.substr(begin, text.find_last_not_of(space) + 1 - begin);
}

TimedPrompt parsed(const std::string& line, const std::string& where) {
    const auto refuse = [&](const std::string& what) { throw Error(MC_ERROR_SETTINGS, where + what); };
    TimedPrompt result;
    result.prompt = line;
    // A number at the front, then letters, which should be a unit, and a colon.
    static const std::regex duration("^([-+]?[0-9.]+) *([A-Za-z]*) *:(.*)$");
    std::smatch part;
    if (std::regex_match(line, part, duration)) {
        const std::string number = part[1], unit = part[2];
        char* end = nullptr;
        const double value = g_ascii_strtod(number.c_str(), &end);
        if (*end) refuse("\"" + number + "\" is no number: write a duration as 8s: or 48f: before the prompt.");
        if (unit != "s" && unit != "f")
            refuse("the duration \"" + number + unit +
                   "\" has no unit that is known: write seconds as 8s: or frames as 48f:.");
        const bool frames = unit == "f";
        if (!(value > 0 && value <= (frames ? MOST_FRAMES : MOST_SECONDS)) || (frames && value != std::floor(value)))
            refuse("a prompt stays for a whole number of frames from 1 to 1000000000, or for more than 0 and at most "
                   "1000000 seconds, not for " + number + unit + ".");
        if (frames)
            result.frames = int64_t(value);
        else
            result.seconds = value;
        result.prompt = trimmed(part[3]);
    }
    if (result.prompt.empty()) refuse("there is a duration but no prompt: write what the video shows behind it.");
    return result;
}

} // namespace

std::vector<TimedPrompt> read_prompts_file(const std::string& path) {
    if (!g_file_test(path.c_str(), G_FILE_TEST_EXISTS))
        throw Error(MC_ERROR_NOT_FOUND, "The prompts-file " + path + " does not exist: give the path of a text file.");
    std::ifstream file(path, std::ios::binary);
    if (g_file_test(path.c_str(), G_FILE_TEST_IS_DIR) || !file)
        throw Error(MC_ERROR_READ, "The prompts-file " + path + " cannot be read: give the path of a text file.");
    std::vector<TimedPrompt> prompts;
    std::string line;
    size_t number = 0;
    for (char c; file.get(c) || !line.empty();) {
        const bool end = !file || c == '\n';
        if (!end) line += c;
        if (!end && line.size() <= MOST_BYTES) continue;
        const std::string where = "Line " + std::to_string(++number) + " of the prompts-file " + path + ": ";
        if (line.size() > MOST_BYTES)
            throw Error(MC_ERROR_SETTINGS, where + "it is longer than " + std::to_string(MOST_BYTES) +
                                               " bytes, as no prompt needs to be: shorten it.");
        if (line.find('\0') != std::string::npos || !g_utf8_validate(line.data(), gssize(line.size()), nullptr))
            throw Error(MC_ERROR_SETTINGS, where + "it is not valid UTF-8: save the file as a text file in UTF-8.");
        if (number == 1 && line.starts_with("\xef\xbb\xbf")) line.erase(0, 3);
        const std::string text = trimmed(line);
        line.clear();
        if (text.empty() || text[0] == '#') continue;
        if (prompts.size() == MOST_LINES)
            throw Error(MC_ERROR_SETTINGS, where + "there are more than " + std::to_string(MOST_LINES) +
                                               " prompts: give fewer.");
        prompts.push_back(parsed(text, where));
    }
    if (prompts.empty())
        throw Error(MC_ERROR_SETTINGS,
                    "The prompts-file " + path + " has no prompt in it: write one per line, as in 8s: a red ball.");
    return prompts;
}

} // namespace mc::gst
