// SPDX-License-Identifier: LGPL-2.1-or-later
#include "engine/model/tensor_view.h"

#include <algorithm>
#include <cstring>
#include <limits>

namespace mc::model {

namespace {

constexpr size_t PIECE = size_t(1) << 20; // bytes that are read at once of a tensor with strides

// Gathers a tensor with strides. The sides are gone through in the order in which they lie in the file, the widest
// stride first, so that every part of the file is read once and in order.
class Gatherer {
  public:
    Gatherer(const TensorView& view, std::byte* into)
        : file_(*view.file), item_(size_of(view.dtype)), into_(into) {
        uint64_t step = item_;
        for (size_t i = view.shape.size(); i--;) {
            sides_.push_back({uint64_t(view.shape[i]), uint64_t(view.stride[i]) * item_, step});
            step *= uint64_t(view.shape[i]);
        }
        std::sort(sides_.begin(), sides_.end(), [](const Side& a, const Side& b) { return a.from > b.from; });
    }
    void gather(size_t side, uint64_t at, uint64_t to) {
        uint64_t span = item_;
        for (size_t i = side; i < sides_.size(); i++) span += (sides_[i].count - 1) * sides_[i].from;
        if (span <= PIECE) {
            piece_.resize(span);
            file_.read(at, piece_.data(), span);
            return scatter(side, piece_.data(), to);
        }
        const Side& s = sides_[side]; // with no side left, the span is one element
        for (uint64_t i = 0; i < s.count; i++) gather(side + 1, at + i * s.from, to + i * s.to);
    }

  private:
    struct Side {
        uint64_t count, from, to; // steps in bytes: in the file, in the result
    };
    const DataFile& file_;
    const size_t item_;
    std::byte* const into_;
    std::vector<Side> sides_;
    std::vector<std::byte> piece_;

    void scatter(size_t side, const std::byte* from, uint64_t to) const {
        if (side == sides_.size()) {
            std::memcpy(into_ + to, from, item_);
            return;
        }
        const Side& s = sides_[side];
        for (uint64_t i = 0; i < s.count; i++) scatter(side + 1, from + i * s.from, to + i * s.to);
    }
};

} // namespace

void TensorView::read(void* into) const {
    if (bytes == 0) return;
    if (stride.empty()) return file->read(at, into, bytes);
    Gatherer(*this, static_cast<std::byte*>(into)).gather(0, at, 0);
}

void TensorView::read(size_t from, void* into, size_t count) const {
    if (count == 0) return;
    if (stride.empty()) return file->read(at + from, into, count);
    if (count == bytes) return read(into);
    std::vector<std::byte> all(bytes);
    read(all.data());
    std::memcpy(into, all.data() + from, count);
}

std::optional<DType> dtype_named(const char* DTypeNames::* kind, std::string_view name) {
    for (const DTypeNames& names : DTYPES)
        if (names.*kind && name == names.*kind) return names.type;
    return std::nullopt;
}

std::optional<uint64_t> element_count(const std::vector<int64_t>& shape) {
    constexpr uint64_t limit = std::numeric_limits<int64_t>::max();
    // A zero side makes the product zero, but must not hide another side that is absurd.
    uint64_t count = 1;
    bool empty = false;
    for (int64_t side : shape) {
        if (side < 0) return std::nullopt;
        if (side == 0) {
            empty = true;
            continue;
        }
        if (count > limit / uint64_t(side)) return std::nullopt;
        count *= uint64_t(side);
    }
    return empty ? 0 : count;
}

std::optional<uint64_t> byte_count(DType type, const std::vector<int64_t>& shape) {
    std::optional<uint64_t> count = element_count(shape);
    if (!count || *count > uint64_t(std::numeric_limits<int64_t>::max()) / size_of(type)) return std::nullopt;
    return *count * size_of(type);
}

std::string shape_text(const std::vector<int64_t>& shape) {
    std::string text = "[";
    for (size_t i = 0; i < shape.size(); i++) text += (i ? ", " : "") + std::to_string(shape[i]);
    return text + "]";
}

} // namespace mc::model
