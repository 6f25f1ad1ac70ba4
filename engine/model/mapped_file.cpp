#include "engine/model/mapped_file.h"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <string_view>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/model/read_error.h"

namespace mc::model {

namespace {

struct Descriptor {
    int number;
    ~Descriptor() {
        if (number >= 0) ::close(number);
    }
};

void refuse_lfs_pointer(const std::string& path, const std::byte* data, size_t size) {
    constexpr std::string_view start = "version https://git-lfs";
    if (size >= start.size() && std::memcmp(data, start.data(), start.size()) == 0)
        throw read_error(path, "is a Git LFS pointer, a few lines of text that stand for the file",
                         "fetch the file itself with 'git lfs pull' in that folder, or download it from the "
                         "publisher's page");
}

} // namespace

std::shared_ptr<const MappedFile> MappedFile::open(const std::string& path) {
    // Without O_NONBLOCK opening a named pipe would wait for a writer.
    Descriptor file{::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
    if (file.number < 0) {
        if (errno == ENOENT || errno == ENOTDIR)
            throw not_found(path, "there is no such file", "check the path, or download the missing file");
        throw read_error(path, std::string("cannot be opened (") + std::strerror(errno) + ")",
                         "check its permissions");
    }
    struct stat status {};
    if (::fstat(file.number, &status) != 0 || !S_ISREG(status.st_mode))
        throw read_error(path, "is not a regular file", "give the path of a file");
    if (status.st_size <= 0) throw read_error(path, "is empty");
    size_t size = size_t(status.st_size);
    void* map = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file.number, 0);
    if (map == MAP_FAILED)
        throw read_error(path, std::string("cannot be mapped into memory (") + std::strerror(errno) + ")",
                         "check the limit of address space (ulimit -v) and the file system");
    std::shared_ptr<const MappedFile> mapped(new MappedFile(path, static_cast<const std::byte*>(map), size));
    refuse_lfs_pointer(path, mapped->data, size);
    return mapped;
}

MappedFile::~MappedFile() {
    ::munmap(const_cast<std::byte*>(data), size);
}

} // namespace mc::model
