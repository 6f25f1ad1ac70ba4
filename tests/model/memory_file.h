// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// Bytes in memory posing as a file, for readers that are given anything.
#include <cstring>

#include "engine/model/data_file.h"
#include "engine/model/tensor_view.h"

namespace mc::test {

// A block of exactly the file's size, so that a sanitizer sees a read beyond it; one that is asked for is a trap.
class MemoryFile final : public model::DataFile {
  public:
    MemoryFile(const std::string& path, const void* data, size_t size)
        : DataFile(path, size), bytes_(std::make_unique<std::byte[]>(size)) {
        if (size) std::memcpy(bytes_.get(), data, size);
    }
    static std::shared_ptr<const MemoryFile> of(const std::string& path, const std::string& bytes) {
        return std::make_shared<MemoryFile>(path, bytes.data(), bytes.size());
    }
    void read(uint64_t at, void* into, size_t count) const override {
        if (at > size || count > size - at) __builtin_trap();
        if (count) std::memcpy(into, bytes_.get() + at, count);
    }

  private:
    std::unique_ptr<std::byte[]> bytes_;
};

inline std::string bytes_of(const model::TensorView& view) {
    std::string bytes(view.bytes, '\0');
    view.read(bytes.data());
    return bytes;
}

} // namespace mc::test
