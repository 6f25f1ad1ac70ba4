#pragma once
// A file in memory, read-only and private: pages come in when they are read. The map shows the file as it is
// on disk, so a file must not be shortened while a model loads from it; once loaded, weights are copies.
#include <cstddef>
#include <memory>
#include <string>

namespace mc::model {

class MappedFile {
  public:
    // Throws MC_ERROR_NOT_FOUND when there is no such file; MC_ERROR_READ when it is not a regular file,
    // cannot be read, is empty, or is a Git LFS pointer in place of the file.
    static std::shared_ptr<const MappedFile> open(const std::string& path);
    ~MappedFile();
    MappedFile(const MappedFile&) = delete;
    MappedFile& operator=(const MappedFile&) = delete;

    const std::string path;
    const std::byte* const data;
    const size_t size;

  private:
    MappedFile(const std::string& path, const std::byte* data, size_t size)
        : path(path), data(data), size(size) {}
};

} // namespace mc::model
