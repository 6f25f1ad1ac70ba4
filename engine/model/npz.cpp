// SPDX-License-Identifier: LGPL-2.1-or-later
#include "engine/model/npz.h"

#include <algorithm>
#include <string_view>

#include "engine/model/little_endian.h"
#include "engine/model/read_error.h"
#include "engine/model/zip_archive.h"

namespace mc::model {

namespace {

using namespace std::string_view_literals;
constexpr std::string_view ENDING = ".npy", MAGIC = "\x93NUMPY"sv;
constexpr size_t HEADER_LIMIT = 65536; // numpy itself reads 10000 of one that it does not trust
constexpr size_t RANK_LIMIT = 8;
constexpr const char* SAVE_AGAIN = "save the arrays again with numpy.savez";

// The header of an array: a Python dictionary of three entries, as numpy writes it.
//
//     {'descr': '<f8', 'fortran_order': False, 'shape': (1, 4096), }
class Header {
  public:
    Header(std::string_view text, std::string_view entry, const std::string& file)
        : rest_(text), entry_(entry), file_(file) {
        expect("{");
        bool has_type = false, has_order = false, has_shape = false;
        while (!take("}")) {
            const std::string_view key = quoted();
            expect(":");
            if (key == "descr" && !has_type)
                has_type = true, dtype = read_type();
            else if (key == "fortran_order" && !has_order)
                has_order = true, columns_first = take("True") || (expect("False"), false);
            else if (key == "shape" && !has_shape)
                has_shape = true, read_shape();
            else
                malformed();
            if (!take(",")) {
                expect("}");
                break;
            }
        }
        blanks();
        if (!rest_.empty() || !has_type || !has_order || !has_shape) malformed();
    }

    DType dtype{};
    bool columns_first = false; // the first index runs fastest
    std::vector<int64_t> shape;

  private:
    std::string_view rest_;
    const std::string_view entry_;
    const std::string& file_;

    [[noreturn]] void malformed() const {
        throw read_error(file_, "the header of array " + in_quotes(entry_) + " is none that numpy writes");
    }
    void blanks() {
        while (!rest_.empty() && (rest_[0] == ' ' || rest_[0] == '\n')) rest_.remove_prefix(1);
    }
    bool take(std::string_view word) {
        blanks();
        if (!rest_.starts_with(word)) return false;
        rest_.remove_prefix(word.size());
        return true;
    }
    void expect(std::string_view word) {
        if (!take(word)) malformed();
    }
    std::string_view quoted() {
        blanks();
        if (rest_.empty() || (rest_[0] != '\'' && rest_[0] != '"')) malformed();
        const size_t end = rest_.find(rest_[0], 1);
        if (end == std::string_view::npos) malformed();
        const std::string_view text = rest_.substr(1, end - 1);
        rest_.remove_prefix(end + 1);
        return text;
    }
    DType read_type() {
        blanks();
        if (rest_.starts_with("[")) // of records
            throw read_error(file_,
                             "array " + in_quotes(entry_) + " is one of records, which is not supported",
                             SAVE_AGAIN);
        const std::string_view descr = quoted();
        if (const auto type = dtype_named(&DTypeNames::numpy, descr)) return *type;
        throw read_error(file_,
                         "array " + in_quotes(entry_) + " is of type " + in_quotes(descr) +
                             ", which is not supported",
                         "save it as float64, float32 or float16 with numpy.savez");
    }
    void read_shape() {
        expect("(");
        while (!take(")")) {
            blanks();
            const size_t digits = std::min(rest_.find_first_not_of("0123456789"), rest_.size());
            if (digits == 0 || digits > 18 || shape.size() == RANK_LIMIT) malformed();
            shape.push_back(std::stoll(std::string(rest_.substr(0, digits))));
            rest_.remove_prefix(digits);
            if (!take(",")) {
                expect(")");
                break;
            }
        }
    }
};

TensorView read_array(const std::shared_ptr<const DataFile>& file, const std::string& name,
                      const ZipEntry& entry) {
    const std::string array = "array " + in_quotes(name);
    constexpr size_t START = 12; // magic, version, length of the header: 2 bytes in version 1, else 4
    std::string start = file->text(entry.at, size_t(std::min<uint64_t>(entry.size, START)));
    const uint8_t version = start.size() == START ? uint8_t(start[6]) : 0;
    if (start.size() < START || !start.starts_with(MAGIC) || version < 1 || version > 3)
        throw read_error(file->path, array + " is no array of numpy or is cut off");
    const auto* length = reinterpret_cast<const std::byte*>(start.data()) + 8;
    const uint64_t begin = version == 1 ? 10 : 12, bytes = version == 1 ? read_u16(length) : read_u32(length);
    if (bytes > HEADER_LIMIT || bytes > entry.size - begin)
        throw read_error(file->path, array + " claims a header of " + std::to_string(bytes) + " bytes of " +
                                         std::to_string(entry.size));
    const Header header(file->text(entry.at + begin, size_t(bytes)), name, file->path);
    const std::optional<uint64_t> data = byte_count(header.dtype, header.shape);
    if (!data || *data != entry.size - begin - bytes)
        throw read_error(file->path, array + " of " + name_of(header.dtype) + " " + shape_text(header.shape) +
                                         " has " + std::to_string(entry.size - begin - bytes) +
                                         " bytes, which does not match");
    TensorView view{header.dtype, header.shape, size_t(*data), file, entry.at + begin + bytes, {}};
    if (header.columns_first && *data > 0) {
        int64_t stride = 1;
        for (const int64_t side : header.shape) view.stride.push_back(stride), stride *= side;
    }
    return view;
}

} // namespace

TensorMap parse_npz(const std::shared_ptr<const DataFile>& file) {
    if (!file->text(0, size_t(std::min<uint64_t>(file->size, 4))).starts_with("PK"))
        throw read_error(
            file->path,
            "is not an .npz file of numpy.savez: it does not begin with 'PK' as a zip archive does");
    TensorMap tensors;
    for (const auto& [name, entry] : parse_zip(*file)) {
        if (!name.ends_with(ENDING))
            throw read_error(file->path, "holds " + in_quotes(name) + ", which is no array", SAVE_AGAIN);
        if (entry.compressed)
            throw read_error(file->path, "array " + in_quotes(name) + " is compressed", SAVE_AGAIN);
        const std::string array = name.substr(0, name.size() - ENDING.size());
        tensors.emplace(array, read_array(file, array, entry));
    }
    return tensors;
}

} // namespace mc::model
