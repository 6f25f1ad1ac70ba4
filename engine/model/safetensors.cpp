// SPDX-License-Identifier: LGPL-2.1-or-later
#include "engine/model/safetensors.h"

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>

#include "engine/model/little_endian.h"
#include "engine/model/read_error.h"

namespace mc::model {

namespace {

constexpr uint64_t HEADER_LIMIT = 100'000'000; // the format's own
constexpr size_t RANK_LIMIT = 8;

struct Extent {
    uint64_t begin, end;
    std::string name;
};

DType parse_dtype(const std::string& text, const std::string& tensor, const std::string& file) {
    if (const auto type = dtype_named(&DTypeNames::safetensors, text)) return *type;
    throw read_error(
        file, "tensor " + in_quotes(tensor) + " is of type " + in_quotes(text) + ", which is not supported",
        "use the weights in F32, F16 or BF16");
}

// Reads the header as a stream of events, so that what it holds is bounded by the tensors it describes and
// not by what a hostile header nests.
class HeaderReader final : public nlohmann::json_sax<nlohmann::json> {
  public:
    HeaderReader(std::shared_ptr<const DataFile> source, uint64_t begin)
        : file_(source->path), source_(std::move(source)), begin_(begin), size_(source_->size - begin) {}

    TensorMap tensors;
    std::vector<Extent> extents;

    bool start_object(std::size_t) override {
        switch (where_) {
        case Where::START:
            where_ = Where::TOP;
            break;
        case Where::TOP:
            where_ = name_ == "__metadata__" ? Where::METADATA : Where::TENSOR;
            dtype_.reset(), shape_.reset(), offsets_.reset();
            break;
        default:
            malformed("an object");
        }
        return true;
    }
    bool key(std::string& text) override {
        if (where_ == Where::TOP)
            name_ = std::move(text);
        else
            field_ = std::move(text);
        return true;
    }
    bool end_object() override {
        if (where_ == Where::TENSOR) finish_tensor();
        where_ = where_ == Where::TOP ? Where::END : Where::TOP;
        return true;
    }
    bool start_array(std::size_t) override {
        if (where_ != Where::TENSOR) malformed("a list");
        if (field_ == "shape" && !shape_) {
            shape_.emplace();
            where_ = Where::SHAPE;
        } else if (field_ == "data_offsets" && !offsets_) {
            offsets_.emplace();
            where_ = Where::OFFSETS;
        } else {
            malformed("a list");
        }
        return true;
    }
    bool end_array() override {
        where_ = Where::TENSOR;
        return true;
    }
    bool string(std::string& text) override {
        if (where_ == Where::METADATA) return true;
        if (where_ != Where::TENSOR || field_ != "dtype" || dtype_) malformed("a string");
        dtype_ = parse_dtype(text, name_, file_);
        return true;
    }
    bool number_unsigned(std::uint64_t value) override {
        if (where_ == Where::SHAPE && value <= uint64_t(std::numeric_limits<int64_t>::max()) &&
            shape_->size() < RANK_LIMIT)
            shape_->push_back(int64_t(value));
        else if (where_ == Where::OFFSETS && offsets_->size() < 2)
            offsets_->push_back(value);
        else
            malformed("a number");
        return true;
    }
    bool number_integer(std::int64_t) override { return malformed("a negative number"); }
    bool number_float(double, const std::string&) override { return malformed("a fraction"); }
    bool boolean(bool) override { return malformed("true or false"); }
    bool null() override { return malformed("null"); }
    bool binary(nlohmann::json::binary_t&) override { return malformed("bytes"); }
    bool parse_error(std::size_t position, const std::string&, const nlohmann::json::exception&) override {
        throw read_error(file_, "its safetensors header is not valid JSON (at byte " +
                                    std::to_string(position) + ")");
    }

  private:
    enum class Where { START, TOP, METADATA, TENSOR, SHAPE, OFFSETS, END } where_ = Where::START;
    const std::string& file_;
    const std::shared_ptr<const DataFile> source_;
    const uint64_t begin_, size_; // of the tensors' bytes
    std::string name_, field_;
    std::optional<DType> dtype_;
    std::optional<std::vector<int64_t>> shape_;
    std::optional<std::vector<uint64_t>> offsets_;

    [[noreturn]] bool malformed(const char* what) const {
        std::string place = where_ == Where::START || where_ == Where::TOP
                                ? in_quotes(name_)
                                : in_quotes(field_) + " of " + in_quotes(name_);
        throw read_error(file_, std::string("its safetensors header has ") + what +
                                    " in an impossible place (" + place + ")");
    }
    void finish_tensor() {
        std::string tensor = "tensor " + in_quotes(name_);
        if (!dtype_ || !shape_ || !offsets_ || offsets_->size() != 2)
            throw read_error(file_, tensor + " lacks its dtype, shape or two data_offsets");
        uint64_t begin = (*offsets_)[0], end = (*offsets_)[1];
        if (begin > end || end > size_)
            throw read_error(file_, tensor + " claims bytes " + std::to_string(begin) + " to " +
                                        std::to_string(end) + ", but the file holds " +
                                        std::to_string(size_) + " bytes of tensors");
        std::optional<uint64_t> bytes = byte_count(*dtype_, *shape_);
        if (!bytes || *bytes != end - begin)
            throw read_error(file_, tensor + " of " + name_of(*dtype_) + " " + shape_text(*shape_) + " has " +
                                        std::to_string(end - begin) + " bytes, which does not match");
        TensorView view{*dtype_, std::move(*shape_), size_t(*bytes), source_, begin_ + begin, {}};
        if (!tensors.emplace(name_, std::move(view)).second)
            throw read_error(file_, tensor + " is there twice");
        extents.push_back({begin, end, name_});
    }
};

// Overlaps would let a file of a few bytes pose as a model; holes can hide what no reader checks.
void require_gapless(std::vector<Extent>& extents, uint64_t size, const std::string& file) {
    std::sort(extents.begin(), extents.end(), [](const Extent& a, const Extent& b) {
        return a.begin != b.begin ? a.begin < b.begin : a.end < b.end;
    });
    uint64_t at = 0;
    for (const Extent& extent : extents) {
        if (extent.begin < at)
            throw read_error(file, "tensor " + in_quotes(extent.name) + " overlaps another one");
        if (extent.begin > at)
            throw read_error(file, std::to_string(extent.begin - at) + " bytes before tensor " +
                                       in_quotes(extent.name) + " belong to no tensor");
        at = extent.end;
    }
    if (at != size)
        throw read_error(file, "its last " + std::to_string(size - at) + " bytes belong to no tensor");
}

} // namespace

TensorMap parse_safetensors(const std::shared_ptr<const DataFile>& file) {
    const uint64_t size = file->size;
    if (size < 8)
        throw read_error(file->path,
                         "is too short for a safetensors file (" + std::to_string(size) + " bytes)");
    std::byte length[8];
    file->read(0, length, sizeof length);
    const uint64_t header = read_u64(length);
    if (header > HEADER_LIMIT || header > size - 8)
        throw read_error(file->path, "is not a safetensors file or is cut off: its header would have " +
                                         std::to_string(header) + " bytes, the file has " +
                                         std::to_string(size));
    const std::string text = file->text(8, size_t(header));
    // The parser would pass over spaces in front, and over all that follows a zero byte.
    if (text.find_first_of(" \t\r\n") == 0 || text.find('\0') != std::string::npos)
        throw read_error(file->path, "its safetensors header has padding other than spaces at its end");
    HeaderReader reader(file, 8 + header);
    try {
        nlohmann::json::sax_parse(text, &reader);
    } catch (const nlohmann::json::exception& e) {
        throw read_error(file->path, "its safetensors header cannot be read", DOWNLOAD_AGAIN, e.what());
    }
    require_gapless(reader.extents, size - 8 - header, file->path);
    return std::move(reader.tensors);
}

} // namespace mc::model
