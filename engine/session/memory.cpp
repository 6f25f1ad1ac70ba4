// SPDX-License-Identifier: LGPL-2.1-or-later
#include "engine/session/memory.h"

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <limits>
#include <optional>
#include <sys/resource.h>
#include <unistd.h>

#include "engine/device.h"
#include "engine/error.h"

namespace mc::session {

namespace {

// The number behind `key` in a file of lines "key number", or with an empty key the file's first word.
std::optional<int64_t> number_in(const std::string& file, const std::string& key = "") {
    std::ifstream in(file);
    int64_t value;
    if (key.empty()) return in >> value ? std::optional(value) : std::nullopt;
    for (std::string word; in >> word;) {
        if (word == key && in >> value) return value;
        in.ignore(4096, '\n');
    }
    return {};
}

// What the control group in `folder` leaves. What it holds of files is given up when memory is short.
int64_t left_in(const std::string& folder, const char* limit, const char* used, const char* files) {
    const auto most = number_in(folder + limit), now = number_in(folder + used);
    if (!most || !now) return std::numeric_limits<int64_t>::max(); // "max", or no such file
    return std::max<int64_t>(0, *most - *now + number_in(folder + "/memory.stat", files).value_or(0));
}

// The least that a control group leaves from this process's own up to the root, version 2 or 1.
int64_t left_by_control_groups(const std::string& root) {
    int64_t left = std::numeric_limits<int64_t>::max();
    std::ifstream groups(root + "/proc/self/cgroup"); // one line per hierarchy: number:controllers:path
    for (std::string line; std::getline(groups, line);) {
        const size_t first = line.find(':'), second = line.find(':', first + 1);
        if (second == std::string::npos) continue;
        const std::string controllers = "," + line.substr(first + 1, second - first - 1) + ",";
        const bool unified = controllers == ",,";
        if (!unified && controllers.find(",memory,") == std::string::npos) continue;
        const std::string mount = root + "/sys/fs/cgroup" + (unified ? "" : "/memory");
        for (std::string path = line.substr(second + 1);;) {
            const std::string folder = mount + (path == "/" ? "" : path);
            left = std::min(left, unified ? left_in(folder, "/memory.max", "/memory.current", "inactive_file")
                                          : left_in(folder, "/memory.limit_in_bytes",
                                                    "/memory.usage_in_bytes", "total_inactive_file"));
            if (path.empty() || path == "/") break;
            path.resize(path.rfind('/'));
        }
    }
    return left;
}

// Address space under a limit of ulimit -v.
int64_t left_by_limits(const std::string& root) {
    rlimit limit{};
    const auto pages = number_in(root + "/proc/self/statm");
    if (getrlimit(RLIMIT_AS, &limit) || limit.rlim_cur == RLIM_INFINITY || !pages)
        return std::numeric_limits<int64_t>::max();
    return std::max<int64_t>(0, static_cast<int64_t>(limit.rlim_cur) - *pages * sysconf(_SC_PAGESIZE));
}

} // namespace

int64_t free_memory(const std::string& root) {
    const auto available = number_in(root + "/proc/meminfo", "MemAvailable:"); // in KiB
    return std::min({available ? *available * 1024 : std::numeric_limits<int64_t>::max(),
                     left_by_control_groups(root), left_by_limits(root)});
}

Resident resident_memory() {
    const auto kibibytes = [](const char* key) { return number_in("/proc/self/status", key).value_or(0) * 1024; };
    return {kibibytes("VmRSS:"), kibibytes("VmHWM:")};
}

std::string gibibytes(int64_t bytes) {
    char text[32];
    std::snprintf(text, sizeof text, "%.2f GiB", bytes / 1073741824.0);
    return text;
}

int64_t free_memory(at::Device device) {
    return device.is_cpu() ? free_memory() : device_memory(device).free;
}

void check_memory(int64_t needed, const std::string& what, const Remedy& remedy, at::Device device) {
    check_memory(needed, free_memory(device), what, remedy, device);
}

void check_memory(int64_t needed, int64_t free, const std::string& what, const Remedy& remedy, at::Device device) {
    if (needed <= free) return;
    throw Error(MC_ERROR_MEMORY,
                what + " needs " + gibibytes(needed) + " of " +
                    (device.is_cpu() ? "memory" : device.str() + "'s memory") + " but " + gibibytes(free) +
                    " are free; " + remedy(free),
                "needed " + std::to_string(needed) + " bytes, free " + std::to_string(free) + " bytes");
}

void check_memory(int64_t needed, const std::string& what, const std::string& remedy) {
    check_memory(needed, what, [&](int64_t) { return remedy; }, at::kCPU);
}

} // namespace mc::session
