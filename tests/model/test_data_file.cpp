// SPDX-License-Identifier: LGPL-2.1-or-later
// Files that change, shrink or fail while they are read. The C library's pread is replaced in this program, so that a
// disk can fail here.
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <sys/syscall.h>
#include <unistd.h>

#include "engine/error.h"
#include "engine/model/data_file.h"
#include "engine/model/fingerprint.h"
#include "engine/families/skyreels_v2/folder.h"
#include "engine/model/weight_files.h"
#include "tests/check.h"
#include "tests/model/memory_file.h"
#include "tests/model/published.h"

using namespace mc;
using namespace mc::model;
using namespace mc::test;

namespace {

struct Disk {
    int fails_with = 0;   // errno
    off_t fails_from = 0; // place in the file
    int interrupts = 0;   // so many calls
    size_t most = SIZE_MAX;
    uint64_t bytes = 0, calls = 0; // read
} disk;

} // namespace

extern "C" ssize_t pread(int file, void* into, size_t bytes, off_t at) {
    if (disk.interrupts > 0) {
        disk.interrupts--;
        errno = EINTR;
        return -1;
    }
    if (disk.fails_with && at + off_t(bytes) > disk.fails_from) {
        errno = disk.fails_with;
        return -1;
    }
    ssize_t got = syscall(SYS_pread64, file, into, std::min(bytes, disk.most), at);
    disk.calls++;
    if (got > 0) disk.bytes += uint64_t(got);
    return got;
}
namespace {

struct HealthyDisk {
    HealthyDisk() { disk = {}; }
    ~HealthyDisk() { disk = {}; }
};

StoredTensor numbers(const std::string& name) {
    return {name, "U8", {10000}, std::string(10000, name[0])};
}

// The files whose tensors are read later, opened.
struct Opened {
    Opened() {
        write_safetensors(folder / "w.safetensors", {numbers("a"), numbers("b")});
        write_pth(folder / "w.pth", {numbers("a"), numbers("b")});
        for (const char* name : {"w.safetensors", "w.pth"})
            files.push_back(open_weight_file(folder / name));
    }
    TemporaryFolder folder;
    std::vector<WeightFiles> files;
};

void check_each(const Opened& opened, const std::string& text) {
    for (const WeightFiles& file : opened.files) {
        CHECK_ERROR(bytes_of(file.tensors.at("b")), MC_ERROR_READ, file.origin + ": " + text);
        struct All : Tensors {
            All(const TensorMap& tensors) { tensors_ = tensors; }
        };
        CHECK_ERROR(fingerprint(All(file.tensors)), MC_ERROR_READ, text);
    }
}

} // namespace

TEST(data_file_reads_what_is_asked_for) {
    const HealthyDisk healthy;
    const Opened opened;
    for (const WeightFiles& file : opened.files)
        CHECK_EQ(bytes_of(file.tensors.at("b")), std::string(10000, 'b'));
    // In pieces, and with a signal now and then.
    disk.most = 999;
    disk.interrupts = 3;
    for (const WeightFiles& file : opened.files)
        CHECK_EQ(bytes_of(file.tensors.at("b")), std::string(10000, 'b'));
    CHECK(disk.calls >= 22);
}

TEST(files_that_shrink_after_they_were_opened) {
    const HealthyDisk healthy;
    const Opened opened;
    for (const WeightFiles& file : opened.files) std::filesystem::resize_file(file.origin, 5000);
    check_each(opened, "became shorter while it was read");
    CHECK_ERROR(bytes_of(opened.files[0].tensors.at("b")), MC_ERROR_READ, "downloaded or copied completely");
    for (const WeightFiles& file : opened.files) std::filesystem::resize_file(file.origin, 0);
    check_each(opened, "became shorter while it was read");
}

TEST(files_that_are_written_to_after_they_were_opened) {
    const HealthyDisk healthy;
    const Opened opened;
    for (const WeightFiles& file : opened.files) std::ofstream(file.origin, std::ios::app) << "more";
    check_each(opened, "became longer while it was read");
    // Of the old length again, with other contents: a copy that starts anew.
    const Opened other;
    for (const WeightFiles& file : other.files) {
        const auto size = std::filesystem::file_size(file.origin);
        std::ofstream(file.origin, std::ios::trunc) << "new";
        std::filesystem::resize_file(file.origin, size);
        std::filesystem::last_write_time(file.origin, std::filesystem::file_time_type::clock::now());
    }
    check_each(other, "was written to while it was read");
}

// A file in its place, moved there as downloads are, is another file: the opened one stays whole.
TEST(files_that_are_replaced_after_they_were_opened) {
    const HealthyDisk healthy;
    const Opened opened;
    for (const WeightFiles& file : opened.files) {
        write_file(opened.folder / "new", "new");
        std::filesystem::rename(opened.folder / "new", file.origin);
        CHECK_EQ(bytes_of(file.tensors.at("b")), std::string(10000, 'b'));
    }
}

TEST(disks_that_fail) {
    const HealthyDisk healthy;
    const Opened opened;
    disk.fails_with = EIO;
    disk.fails_from = 15000;
    check_each(opened, "cannot be read (Input/output error); check the disk");
    CHECK_EQ(bytes_of(opened.files[0].tensors.at("a")), std::string(10000, 'a'));
    // While a file is opened, wherever it fails.
    for (const WeightFiles& file : opened.files)
        for (off_t from = 0; from < 21000; from += from < 600 ? 7 : 500) {
            disk.fails_from = from;
            try {
                open_weight_file(file.origin);
            } catch (const Error& e) {
                CHECK_EQ(e.status, MC_ERROR_READ);
                CHECK(std::string(e.what()).find("Input/output error") != std::string::npos);
            }
        }
    disk.fails_from = 0;
    for (const WeightFiles& file : opened.files)
        CHECK_ERROR(open_weight_file(file.origin), MC_ERROR_READ, "Input/output error");
    const std::string config = opened.folder / "config.json";
    write_file(config, "{}");
    CHECK_ERROR(JsonObject::read(config), MC_ERROR_READ, "config.json: cannot be read (Input/output error)");
}

// Where nothing is mapped, nothing can fault, and file systems that cannot map will do.
TEST(no_weights_are_mapped) {
    const HealthyDisk healthy;
    const Opened opened;
    for (const WeightFiles& file : opened.files) bytes_of(file.tensors.at("a"));
    std::ifstream maps("/proc/self/maps");
    std::string line;
    size_t lines = 0;
    for (; std::getline(maps, line); lines++) CHECK(line.find(opened.folder.path) == std::string::npos);
    CHECK(lines > 0);
}

TEST(opening_and_the_fingerprint_of_the_largest_model_read_little) {
    const HealthyDisk healthy;
    TemporaryFolder folder;
    write_original_folder(folder.path, DF_14B_540P);
    disk.bytes = 0;
    const auto model = skyreels_v2::Folder::open(folder.path);
    const auto tensors = model->transformer_tensors();
    CHECK(disk.bytes < 4 << 20);
    disk.bytes = 0;
    fingerprint(*tensors);
    CHECK(disk.bytes < 1 << 20);
    CHECK(disk.bytes > 1000 * 64);
}
