// SPDX-License-Identifier: LGPL-2.1-or-later
#include "tests/model/weight_writer.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>
#include <stdexcept>
#include <unistd.h>

namespace mc::test {

namespace fs = std::filesystem;

namespace {

struct TypeNames {
    uint64_t size;
    const char* storage;
};
const std::map<std::string, TypeNames> TYPES{
    {"F32", {4, "FloatStorage"}},  {"F16", {2, "HalfStorage"}}, {"BF16", {2, "BFloat16Storage"}},
    {"F64", {8, "DoubleStorage"}}, {"I64", {8, "LongStorage"}}, {"I32", {4, "IntStorage"}},
    {"I16", {2, "ShortStorage"}},  {"I8", {1, "CharStorage"}},  {"U8", {1, "ByteStorage"}},
    {"BOOL", {1, "BoolStorage"}},  {"F8_E4M3", {1, "Float8_e4m3fnStorage"}},
};

template <class T>
std::string number(T value) {
    return std::string(reinterpret_cast<const char*>(&value), sizeof value);
}

void put(std::FILE* file, const std::string& bytes) {
    if (std::fwrite(bytes.data(), 1, bytes.size(), file) != bytes.size())
        throw std::runtime_error("cannot write a test file");
}

std::FILE* create(const std::string& path) {
    fs::create_directories(fs::path(path).parent_path());
    std::FILE* file = std::fopen(path.c_str(), "wb");
    if (!file) throw std::runtime_error("cannot create " + path);
    return file;
}

uint64_t elements_of(const std::vector<int64_t>& shape) {
    uint64_t count = 1;
    for (int64_t side : shape) count *= uint64_t(side);
    return count;
}

constexpr uint64_t IN_ZIP64 = 0xffffffff;

} // namespace

uint64_t bytes_of(const StoredTensor& tensor) {
    return elements_of(tensor.shape) * TYPES.at(tensor.dtype).size;
}

void write_file(const std::string& path, const std::string& bytes) {
    std::FILE* file = create(path);
    put(file, bytes);
    std::fclose(file);
}

std::string read_file(const std::string& path) {
    std::ifstream in(path, std::ios::binary);
    if (!in) throw std::runtime_error("cannot read " + path);
    std::ostringstream text;
    text << in.rdbuf();
    return text.str();
}

std::string safetensors_bytes(const std::string& header, const std::string& body) {
    return number<uint64_t>(header.size()) + header + body;
}

void write_safetensors(const std::string& path, const std::vector<StoredTensor>& tensors) {
    nlohmann::ordered_json header;
    header["__metadata__"] = {{"format", "pt"}};
    uint64_t end = 0;
    for (const StoredTensor& tensor : tensors) {
        uint64_t begin = end;
        end += bytes_of(tensor);
        header[tensor.name] = {
            {"dtype", tensor.dtype}, {"shape", tensor.shape}, {"data_offsets", {begin, end}}};
    }
    std::string text = header.dump();
    std::FILE* file = create(path);
    put(file, safetensors_bytes(text, ""));
    uint64_t at = 8 + text.size();
    for (const StoredTensor& tensor : tensors) {
        if (!tensor.data.empty()) {
            fseeko(file, off_t(at), SEEK_SET);
            put(file, tensor.data);
        }
        at += bytes_of(tensor);
    }
    std::fflush(file);
    if (::ftruncate(fileno(file), off_t(at)) != 0) throw std::runtime_error("cannot size " + path);
    std::fclose(file);
}

ZipWriter::ZipWriter(const std::string& path) : file_(create(path)) {}
ZipWriter::~ZipWriter() {
    if (file_) std::fclose(file_);
}

void ZipWriter::begin(const std::string& name, uint64_t size) {
    uint16_t padding = uint16_t((64 - (at_ + 30 + name.size() + 4) % 64) % 64);
    uint32_t small = size >= IN_ZIP64 ? IN_ZIP64 : uint32_t(size);
    std::string header = number<uint32_t>(0x04034b50) + number<uint16_t>(0) + number<uint16_t>(0) +
                         number<uint16_t>(0) + number<uint32_t>(0) + number<uint32_t>(0) + number(small) +
                         number(small) + number(uint16_t(name.size())) + number(uint16_t(4 + padding)) +
                         name + "FB" + number(padding) + std::string(padding, 'Z');
    fseeko(file_, off_t(at_), SEEK_SET);
    put(file_, header);
    entries_.push_back({name, size, at_});
    at_ += header.size();
}

void ZipWriter::add(const std::string& name, const std::string& bytes) {
    begin(name, bytes.size());
    put(file_, bytes);
    at_ += bytes.size();
}

void ZipWriter::add_zeros(const std::string& name, uint64_t bytes) {
    begin(name, bytes);
    at_ += bytes;
}

void ZipWriter::finish() {
    std::string directory;
    bool big = at_ >= IN_ZIP64 || entries_.size() >= 0xffff;
    for (const Entry& entry : entries_) {
        std::string extra;
        bool big_size = entry.size >= IN_ZIP64, big_offset = entry.offset >= IN_ZIP64;
        if (big_size) extra += number(entry.size) + number(entry.size);
        if (big_offset) extra += number(entry.offset);
        if (!extra.empty()) extra = number<uint16_t>(1) + number(uint16_t(extra.size())) + extra;
        uint32_t size = big_size ? IN_ZIP64 : uint32_t(entry.size),
                 offset = big_offset ? IN_ZIP64 : uint32_t(entry.offset);
        directory += number<uint32_t>(0x02014b50) + number<uint16_t>(0) + number<uint16_t>(0) +
                     number<uint16_t>(0) + number<uint16_t>(0) + number<uint32_t>(0) + number<uint32_t>(0) +
                     number(size) + number(size) + number(uint16_t(entry.name.size())) +
                     number(uint16_t(extra.size())) + number<uint16_t>(0) + number<uint16_t>(0) +
                     number<uint16_t>(0) + number<uint32_t>(0) + number(offset) + entry.name + extra;
    }
    uint64_t count = entries_.size(), end = at_ + directory.size();
    std::string tail;
    if (big)
        tail = number<uint32_t>(0x06064b50) + number<uint64_t>(44) + number<uint16_t>(45) +
               number<uint16_t>(45) + number<uint32_t>(0) + number<uint32_t>(0) + number(count) +
               number(count) + number(uint64_t(directory.size())) + number(at_) +
               number<uint32_t>(0x07064b50) + number<uint32_t>(0) + number(end) + number<uint32_t>(1);
    uint16_t count16 = big ? 0xffff : uint16_t(count);
    tail += number<uint32_t>(0x06054b50) + number<uint16_t>(0) + number<uint16_t>(0) + number(count16) +
            number(count16) + number(uint32_t(big ? IN_ZIP64 : directory.size())) +
            number(uint32_t(big ? IN_ZIP64 : at_)) + number<uint16_t>(0);
    fseeko(file_, off_t(at_), SEEK_SET);
    put(file_, directory + tail);
    std::fclose(file_);
    file_ = nullptr;
}

PickleWriter& PickleWriter::text(const std::string& text) {
    return op("X" + number(uint32_t(text.size())) + text);
}

PickleWriter& PickleWriter::integer(int64_t value) {
    if (value >= 0 && value < 256) return op("K" + number(uint8_t(value)));
    if (value >= 0 && value < 65536) return op("M" + number(uint16_t(value)));
    if (value == int32_t(value)) return op("J" + number(int32_t(value)));
    return op("\x8a\x08" + number(value));
}

PickleWriter& PickleWriter::integers(const std::vector<int64_t>& values) {
    op("(");
    for (int64_t value : values) integer(value);
    return op("t");
}

PickleWriter& PickleWriter::tensor(const std::string& storage_type, const std::string& key, int64_t elements,
                                   int64_t offset, const std::vector<int64_t>& shape,
                                   const std::vector<int64_t>& stride) {
    global("torch._utils", "_rebuild_tensor_v2").op("((").text("storage").global("torch", storage_type);
    text(key).text("cpu").integer(elements).op("tQ");
    return integer(offset).integers(shape).integers(stride).op("\x89").ordered_dict().op("tR");
}

std::vector<int64_t> row_major(const std::vector<int64_t>& shape) {
    std::vector<int64_t> stride(shape.size(), 1);
    for (size_t i = shape.size(); i-- > 1;) stride[i - 1] = stride[i] * shape[i];
    return stride;
}

void write_pth(const std::string& path, const std::vector<StoredTensor>& tensors) {
    PickleWriter pickle;
    pickle.ordered_dict().op("(");
    for (size_t i = 0; i < tensors.size(); i++)
        pickle.text(tensors[i].name)
            .tensor(TYPES.at(tensors[i].dtype).storage, std::to_string(i),
                    int64_t(elements_of(tensors[i].shape)), 0, tensors[i].shape, row_major(tensors[i].shape));
    pickle.op("u.");
    ZipWriter zip(path);
    zip.add("archive/data.pkl", pickle.bytes);
    zip.add("archive/byteorder", "little");
    for (size_t i = 0; i < tensors.size(); i++) {
        std::string name = "archive/data/" + std::to_string(i);
        if (tensors[i].data.empty())
            zip.add_zeros(name, bytes_of(tensors[i]));
        else
            zip.add(name, tensors[i].data);
    }
    zip.add("archive/version", "3\n");
    zip.finish();
}

void write_pth(const std::string& path, const std::string& pickle,
               const std::vector<std::pair<std::string, std::string>>& storages) {
    ZipWriter zip(path);
    zip.add("archive/data.pkl", pickle);
    for (const auto& [key, bytes] : storages) zip.add("archive/data/" + key, bytes);
    zip.add("archive/version", "3\n");
    zip.finish();
}

TemporaryFolder::TemporaryFolder() : path((fs::temp_directory_path() / "mc-test-XXXXXX").string()) {
    if (!::mkdtemp(path.data())) throw std::runtime_error("cannot make a temporary folder");
}
TemporaryFolder::~TemporaryFolder() {
    std::error_code error;
    fs::remove_all(path, error);
}

} // namespace mc::test
