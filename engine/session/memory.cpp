#include "engine/session/memory.h"

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <limits>

#include "engine/error.h"

namespace mc::session {

static bool read_number(const char* path, int64_t& value) {
    std::ifstream file(path);
    return static_cast<bool>(file >> value);
}

int64_t free_memory() {
    int64_t available = std::numeric_limits<int64_t>::max();
    std::ifstream info("/proc/meminfo");
    for (std::string key; info >> key;) {
        int64_t kib;
        if (key == "MemAvailable:" && info >> kib) available = kib * 1024;
        info.ignore(256, '\n');
    }
    int64_t limit, used;
    if (read_number("/sys/fs/cgroup/memory.max", limit) && read_number("/sys/fs/cgroup/memory.current", used))
        available = std::min(available, std::max<int64_t>(0, limit - used));
    return available;
}

static std::string gibibytes(int64_t bytes) {
    char text[32];
    std::snprintf(text, sizeof text, "%.2f GiB", bytes / 1073741824.0);
    return text;
}

void check_memory(int64_t needed, const std::string& what, const std::string& remedy) {
    int64_t free = free_memory();
    if (needed <= free) return;
    throw Error(MC_ERROR_MEMORY,
                what + " needs " + gibibytes(needed) + " of memory but " + gibibytes(free) + " are free; " +
                    remedy,
                "needed " + std::to_string(needed) + " bytes, free " + std::to_string(free) + " bytes");
}

} // namespace mc::session
