// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// A file that is read piece by piece into memory of the reader's own. Not a memory map: there a file that shrinks,
// or a disk that fails, is a signal that ends the process, whenever the page is first read; here it is an error.
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

namespace mc::model {

class DataFile {
  public:
    // Throws MC_ERROR_NOT_FOUND when there is no such file; MC_ERROR_READ when it is not a regular file,
    // cannot be opened, is empty, is a Git LFS pointer in place of the file or a download that has not ended.
    static std::shared_ptr<const DataFile> open(const std::string& path);
    virtual ~DataFile() = default;
    DataFile(const DataFile&) = delete;
    DataFile& operator=(const DataFile&) = delete;

    // `bytes` bytes from `at` on, all inside `size`. Throws MC_ERROR_READ when the file cannot be read there, or has
    // changed since it was opened.
    virtual void read(uint64_t at, void* into, size_t bytes) const = 0;
    std::string text(uint64_t at, size_t bytes) const;

    const std::string path;
    const uint64_t size;

  protected:
    DataFile(const std::string& path, uint64_t size) : path(path), size(size) {}
};

} // namespace mc::model
