// SPDX-License-Identifier: LGPL-2.1-or-later
#include "tools/calibrate/prompts.h"

#include <fstream>

#include "engine/error.h"

namespace mc::calibrate {

std::vector<std::string> built_in_prompts() {
    // Moving and still in turn: the search looks at the first few.
    return {"a red ball bouncing over green hills at sunset",
            "a green cube, still, underwater",
            "a purple car moving right in the city by night",
            "an orange rocket going up in the desert",
            "a pink star, still, in space",
            "a white bird moving left on the sea",
            "a black cube, still, on green hills",
            "a yellow boat moving left on the sea by night"};
}

std::vector<std::string> read_prompts(const std::string& file) {
    std::ifstream stream(file);
    if (!stream)
        throw Error(
            MC_ERROR_NOT_FOUND,
            file + ": cannot be read; give --prompts a text file with one prompt per line, or leave it out.");
    std::vector<std::string> prompts;
    for (std::string line; std::getline(stream, line);) {
        if (!line.empty() && line.back() == '\r') line.pop_back();
        if (line.find_first_not_of(" \t") != std::string::npos && line[0] != '#') prompts.push_back(line);
    }
    if (prompts.empty())
        throw Error(MC_ERROR_SETTINGS,
                    file + ": holds no prompt; write one per line, or leave --prompts out.");
    return prompts;
}

} // namespace mc::calibrate
