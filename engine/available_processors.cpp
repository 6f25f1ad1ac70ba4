// SPDX-License-Identifier: LGPL-2.1-or-later
#include "engine/available_processors.h"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <string>
#include <thread>

#ifdef __linux__
#include <sched.h>
#endif

namespace mc {
namespace {

namespace fs = std::filesystem;

int of_affinity() {
#ifdef __linux__
    for (int size = CPU_SETSIZE; size <= 1 << 20; size *= 2) { // as many as the kernel knows
        cpu_set_t* set = CPU_ALLOC(size);
        const size_t bytes = CPU_ALLOC_SIZE(size);
        const bool known = sched_getaffinity(0, bytes, set) == 0;
        const int count = known ? CPU_COUNT_S(bytes, set) : 0;
        CPU_FREE(set);
        if (known) return count;
    }
#endif
    return int(std::thread::hardware_concurrency());
}

// Processors; infinity where there is no limit, or none that can be read.
double quota(const fs::path& folder) {
    std::string text;
    double time = 0, period = 0;
    if (std::ifstream two(folder / "cpu.max"); two >> text >> period) { // "max 100000" where there is none
        if (text == "max" || text.find_first_not_of("0123456789") != std::string::npos || text.size() > 15)
            return INFINITY;
        time = std::stod(text);
    } else { // -1 where there is none
        std::ifstream(folder / "cpu.cfs_quota_us") >> time;
        std::ifstream(folder / "cpu.cfs_period_us") >> period;
    }
    return time > 0 && period > 0 ? time / period : INFINITY;
}

// Of a group and those that it is in. In a container its own group is the root of what is mounted, whatever its name.
double quota_of(const fs::path& mount, const std::string& group) {
    double least = quota(mount);
    for (fs::path path = fs::path(group).relative_path(); !path.empty(); path = path.parent_path())
        least = std::min(least, quota(mount / path));
    return least;
}

} // namespace

int available_processors(const fs::path& root) {
    double quota = INFINITY;
    std::ifstream groups(root / "proc/self/cgroup");
    for (std::string line; std::getline(groups, line);) { // "4:cpu,cpuacct:/group", of version 2 "0::/group"
        const size_t first = line.find(':'), second = line.find(':', first + 1);
        if (first == std::string::npos || second == std::string::npos) continue;
        const std::string kinds = line.substr(first + 1, second - first - 1), group = line.substr(second + 1);
        if (kinds.empty())
            for (const char* mount : {"sys/fs/cgroup", "sys/fs/cgroup/unified"})
                quota = std::min(quota, quota_of(root / mount, group));
        else if ((',' + kinds + ',').find(",cpu,") != std::string::npos)
            for (const std::string& mount : {std::string("cpu"), kinds})
                quota = std::min(quota, quota_of(root / "sys/fs/cgroup" / mount, group));
    }
    const int processors = std::max(1, of_affinity());
    return quota < processors ? std::max(1, int(std::ceil(quota))) : processors;
}

} // namespace mc
