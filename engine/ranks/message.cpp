// SPDX-License-Identifier: LGPL-2.1-or-later
#include "engine/ranks/message.h"

#include <ATen/ATen.h>

#include "engine/error.h"

namespace mc::ranks {

void Message::append(const void* from, size_t size) {
    const char* bytes = static_cast<const char*>(from);
    bytes_.insert(bytes_.end(), bytes, bytes + size);
}

const char* Message::take(size_t size) {
    if (size > bytes_.size() - read_)
        throw Error(MC_ERROR_INTERNAL, "A message between ranks ends too early; please report this.");
    read_ += size;
    return bytes_.data() + read_ - size;
}

size_t Message::length(size_t element) {
    const int64_t count = get<int64_t>();
    if (count < 0 || uint64_t(count) > (bytes_.size() - read_) / element)
        throw Error(MC_ERROR_INTERNAL, "A message between ranks ends too early; please report this.");
    return size_t(count);
}

void Message::put(const std::string& text) {
    put(std::vector<char>(text.begin(), text.end()));
}

void Message::get(std::string& text) {
    const std::vector<char> bytes = get<std::vector<char>>();
    text.assign(bytes.begin(), bytes.end());
}

void Message::put(const at::Tensor& t) {
    const at::Tensor here = t.to(at::kCPU).contiguous();
    put(int64_t(here.scalar_type()));
    put(here.sizes().vec());
    append(here.const_data_ptr(), here.nbytes());
}

void Message::get(at::Tensor& t) {
    const auto type = at::ScalarType(get<int64_t>());
    t = at::empty(get<std::vector<int64_t>>(), at::TensorOptions(at::kCPU).dtype(type));
    if (t.nbytes()) std::memcpy(t.mutable_data_ptr(), take(t.nbytes()), t.nbytes());
}

} // namespace mc::ranks
