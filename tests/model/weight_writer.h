// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// Weight files made for tests, without Torch. Tensors without data become holes of the file: they read as
// zeros and take no space on disk, so models of the published sizes fit anywhere.
#include <cstdint>
#include <cstdio>
#include <string>
#include <utility>
#include <vector>

namespace mc::test {

struct StoredTensor {
    std::string name;
    std::string dtype; // as safetensors spells it: F32, F16, BF16, ...
    std::vector<int64_t> shape;
    std::string data; // empty: zeros
};

uint64_t bytes_of(const StoredTensor& tensor);

void write_file(const std::string& path, const std::string& bytes);
std::string read_file(const std::string& path);

void write_safetensors(const std::string& path, const std::vector<StoredTensor>& tensors);
// `header` with its length before it, then `body`: for headers that lie.
std::string safetensors_bytes(const std::string& header, const std::string& body);

// As torch.save lays a file out: stored entries, data aligned to 64 bytes, zip64 records where they are
// needed.
class ZipWriter {
  public:
    explicit ZipWriter(const std::string& path);
    ~ZipWriter();
    void add(const std::string& name, const std::string& bytes);
    void add_zeros(const std::string& name, uint64_t bytes); // a hole
    void finish();

  private:
    struct Entry {
        std::string name;
        uint64_t size, offset;
    };
    void begin(const std::string& name, uint64_t size);
    std::FILE* file_;
    uint64_t at_ = 0;
    std::vector<Entry> entries_;
};

// Pickles of protocol 2, opcode by opcode.
class PickleWriter {
  public:
    std::string bytes{"\x80\x02"};
    PickleWriter& op(const std::string& code) {
        bytes += code;
        return *this;
    }
    PickleWriter& global(const std::string& module, const std::string& name) {
        return op("c" + module + "\n" + name + "\n");
    }
    PickleWriter& text(const std::string& text);
    PickleWriter& integer(int64_t value);
    PickleWriter& integers(const std::vector<int64_t>& values); // a tuple
    PickleWriter& ordered_dict() { return global("collections", "OrderedDict").op(")R"); }
    // A tensor in storage `key` of `elements`.
    PickleWriter& tensor(const std::string& storage_type, const std::string& key, int64_t elements,
                         int64_t offset, const std::vector<int64_t>& shape,
                         const std::vector<int64_t>& stride);
};

std::vector<int64_t> row_major(const std::vector<int64_t>& shape); // strides
void write_pth(const std::string& path, const std::vector<StoredTensor>& tensors);
// An archive whose pickle is `pickle`, with `storages` (key, bytes).
void write_pth(const std::string& path, const std::string& pickle,
               const std::vector<std::pair<std::string, std::string>>& storages);

// A folder that is gone when the test is.
class TemporaryFolder {
  public:
    TemporaryFolder();
    ~TemporaryFolder();
    std::string path;
    std::string operator/(const std::string& name) const { return path + "/" + name; }
};

} // namespace mc::test
