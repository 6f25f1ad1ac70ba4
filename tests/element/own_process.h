// SPDX-License-Identifier: LGPL-2.1-or-later
// What the process of a test holds of the machine.
#pragma once
#include <filesystem>
#include <fstream>
#include <string>

// After the standard library: gstcheck.h has a macro "fail".
#include <gst/check/gstcheck.h>

namespace mc::test {

inline gint64 own_status(const char* name) { // of /proc/self/status; memory in KiB
    std::ifstream file("/proc/self/status");
    for (std::string line; std::getline(file, line);)
        if (line.rfind(std::string(name) + ":", 0) == 0) return std::stoll(line.substr(line.find(':') + 1));
    fail("/proc/self/status has no %s", name);
    return 0;
}

inline int own_descriptors() {
    int count = 0;
    for ([[maybe_unused]] const auto& file : std::filesystem::directory_iterator("/proc/self/fd")) count++;
    return count;
}

} // namespace mc::test
