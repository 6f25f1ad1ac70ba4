// SPDX-License-Identifier: LGPL-2.1-or-later
#include "engine/model/data_file.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <string_view>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/model/folder_listing.h"
#include "engine/model/read_error.h"

namespace mc::model {

namespace {

constexpr size_t PIECE = size_t(1) << 30; // Linux reads at most 2 GiB in one call

struct Descriptor {
    int number;
    ~Descriptor() {
        if (number >= 0) ::close(number);
    }
};

class DiskFile final : public DataFile {
  public:
    DiskFile(const std::string& path, int descriptor, const struct stat& status)
        : DataFile(path, uint64_t(status.st_size)), file_{descriptor}, written_(status.st_mtim) {}

    void read(uint64_t at, void* into, size_t bytes) const override {
        char* to = static_cast<char*>(into);
        for (size_t left = bytes; left > 0;) {
            ssize_t got = ::pread(file_.number, to, std::min(left, PIECE), off_t(at));
            if (got < 0 && errno == EINTR) continue;
            if (got < 0)
                throw read_error(path, std::string("cannot be read (") + std::strerror(errno) + ")",
                                 "check the disk or the network that it lies on");
            if (got == 0) throw changed("became shorter");
            to += got, at += uint64_t(got), left -= size_t(got);
        }
        // A file that is overwritten meanwhile is a mixture of old and new bytes, which its length does not show.
        struct stat status {};
        if (::fstat(file_.number, &status) != 0) return;
        if (uint64_t(status.st_size) != size)
            throw changed(uint64_t(status.st_size) < size ? "became shorter" : "became longer");
        if (status.st_mtim.tv_sec != written_.tv_sec || status.st_mtim.tv_nsec != written_.tv_nsec)
            throw changed("was written to");
    }

  private:
    Descriptor file_;
    struct timespec written_;

    Error changed(const std::string& how) const {
        return read_error(path, how + " while it was read",
                          "start again when it has been downloaded or copied completely");
    }
};

void refuse_lfs_pointer(const DataFile& file) {
    constexpr std::string_view start = "version https://git-lfs";
    if (file.size >= start.size() && file.text(0, start.size()) == start)
        throw read_error(file.path, "is a Git LFS pointer, a few lines of text that stand for the file",
                         "fetch the file itself with 'git lfs pull' in that folder, or download it from the "
                         "publisher's page");
}

Error missing(const std::string& path) {
    struct stat status {};
    if (::lstat(path.c_str(), &status) == 0 && S_ISLNK(status.st_mode))
        return not_found(path, "is a link to a file that is not there", "download the file again");
    if (std::string side = side_file_of(path); !side.empty())
        return not_found(path,
                         "there is no such file, only " + in_quotes(side) + ", " + what_side_file_is(side),
                         "download the file itself");
    return not_found(path, "there is no such file", "check the path, or download the missing file");
}

} // namespace

std::shared_ptr<const DataFile> DataFile::open(const std::string& path) {
    // Without O_NONBLOCK opening a named pipe would wait for a writer.
    Descriptor file{::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
    if (file.number < 0) {
        if (errno == ENOENT || errno == ENOTDIR) throw missing(path);
        throw read_error(path, std::string("cannot be opened (") + std::strerror(errno) + ")",
                         errno == EMFILE || errno == ENFILE ? "raise the limit of open files (ulimit -n)"
                                                            : "check its permissions");
    }
    struct stat status {};
    if (::fstat(file.number, &status) != 0 || !S_ISREG(status.st_mode))
        throw read_error(path, "is not a regular file", "give the path of a file");
    // Such a file has its full length from the start.
    if (::access((path + ".aria2").c_str(), F_OK) == 0)
        throw read_error(path,
                         "is not downloaded completely: " +
                             in_quotes(path.substr(path.rfind('/') + 1) + ".aria2") + " is still beside it",
                         "finish the download with aria2c -c");
    if (status.st_size <= 0) throw read_error(path, "is empty");
    auto opened = std::make_shared<DiskFile>(path, file.number, status);
    file.number = -1;
    refuse_lfs_pointer(*opened);
    return opened;
}

std::string DataFile::text(uint64_t at, size_t bytes) const {
    std::string text(bytes, '\0');
    read(at, text.data(), bytes);
    return text;
}

} // namespace mc::model
