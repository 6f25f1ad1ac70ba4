// SPDX-License-Identifier: LGPL-2.1-or-later
// Affinity of this very process, and quotas as containers have them, in a folder that looks like /proc and /sys.
#include "engine/available_processors.h"

#include <sched.h>

#include <cstdlib>
#include <fstream>
#include <string>

#include "tests/check.h"

namespace fs = std::filesystem;
using mc::available_processors;

struct Root {
    fs::path path;
    Root() {
        std::string name = fs::temp_directory_path() / "processors-XXXXXX";
        path = mkdtemp(name.data());
    }
    ~Root() { fs::remove_all(path); }
    Root(const Root&) = delete;
    void write(const char* file, const std::string& text) {
        fs::create_directories((path / file).parent_path());
        std::ofstream(path / file) << text;
    }
};

static int affinity() {
    cpu_set_t set;
    CHECK(sched_getaffinity(0, sizeof set, &set) == 0);
    return CPU_COUNT(&set);
}

TEST(without_limits_it_is_the_affinity) {
    Root root;
    CHECK(available_processors(root.path) == affinity());
    root.write("proc/self/cgroup", "0::/\n");
    CHECK(available_processors(root.path) == affinity());
    root.write("sys/fs/cgroup/cpu.max", "max 100000\n");
    CHECK(available_processors(root.path) == affinity());
    CHECK(available_processors() >= 1 && available_processors() <= affinity());
}

TEST(one_processor_of_several_is_one) {
    cpu_set_t before, one;
    CHECK(sched_getaffinity(0, sizeof before, &before) == 0);
    int first = 0;
    while (!CPU_ISSET(first, &before)) first++;
    CPU_ZERO(&one);
    CPU_SET(first, &one);
    CHECK(sched_setaffinity(0, sizeof one, &one) == 0);
    Root root;
    const int count = available_processors(root.path);
    CHECK(sched_setaffinity(0, sizeof before, &before) == 0);
    CHECK(count == 1);
}

TEST(a_quota_of_version_2) {
    Root root;
    root.write("proc/self/cgroup", "0::/system.slice/some.service\n");
    root.write("sys/fs/cgroup/system.slice/some.service/cpu.max", "100000 100000\n");
    CHECK(available_processors(root.path) == 1);
    root.write("sys/fs/cgroup/system.slice/some.service/cpu.max", "max 100000\n");
    root.write("sys/fs/cgroup/system.slice/cpu.max", "20000 100000\n"); // a fifth: one thread
    CHECK(available_processors(root.path) == 1);
    root.write("sys/fs/cgroup/system.slice/cpu.max", "100000000 100000\n"); // more than there are
    CHECK(available_processors(root.path) == affinity());
}

TEST(a_quota_is_rounded_up) {
    Root root;
    root.write("proc/self/cgroup", "0::/\n");
    root.write("sys/fs/cgroup/cpu.max", "110000 100000\n");
    CHECK(available_processors(root.path) == std::min(2, affinity()));
}

// A container sees its own group as the root of the mount, and may not see the name that it has outside.
TEST(a_quota_of_a_container) {
    Root root;
    root.write("proc/self/cgroup", "0::/../../docker/0123\n");
    root.write("sys/fs/cgroup/cpu.max", "100000 100000\n");
    CHECK(available_processors(root.path) == 1);
}

TEST(a_quota_of_version_1) {
    for (const char* mount : {"sys/fs/cgroup/cpu", "sys/fs/cgroup/cpu,cpuacct"}) {
        Root root;
        root.write("proc/self/cgroup", "5:memory:/docker/01\n4:cpu,cpuacct:/docker/01\n0::/\n");
        const std::string folder = std::string(mount) + "/docker/01/";
        root.write((folder + "cpu.cfs_quota_us").c_str(), "-1\n");
        root.write((folder + "cpu.cfs_period_us").c_str(), "100000\n");
        CHECK(available_processors(root.path) == affinity());
        root.write((folder + "cpu.cfs_quota_us").c_str(), "50000\n");
        CHECK(available_processors(root.path) == 1);
    }
}

TEST(nonsense_is_no_limit) {
    for (const char* text : {"", "nonsense", "-5 100000", "0 100000", "1e9 100000", "99999999999999999999 1",
                             "100000", "100000 0"}) {
        Root root;
        root.write("proc/self/cgroup", "nonsense\n::\n0::/x\n");
        root.write("sys/fs/cgroup/cpu.max", text);
        CHECK(available_processors(root.path) == affinity());
    }
}

int main(int argc, char** argv) {
    return mc::test::run_tests(argc, argv);
}
