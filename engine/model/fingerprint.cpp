// SPDX-License-Identifier: LGPL-2.1-or-later
#include "engine/model/fingerprint.h"

#include <array>
#include <charconv>
#include <cstdio>
#include <string_view>

namespace mc::model {
namespace {

constexpr std::string_view PREFIX = "fnv1a64:";
constexpr size_t DIGITS = 16;
constexpr size_t PIECE = 64, PLACES = 4;

class Fnv1a {
  public:
    void add(const std::byte* data, size_t size) {
        for (size_t i = 0; i < size; i++) hash_ = (hash_ ^ uint64_t(data[i])) * 0x100000001b3u;
    }
    void add(uint64_t number) { // in eight bytes, the lowest first
        std::array<std::byte, 8> bytes;
        for (size_t i = 0; i < 8; i++) bytes[i] = std::byte(number >> (8 * i));
        add(bytes.data(), bytes.size());
    }
    void add(std::string_view text) { // with its length, so that two texts in a row are not one
        add(text.size());
        add(reinterpret_cast<const std::byte*>(text.data()), text.size());
    }
    uint64_t hash() const { return hash_; }

  private:
    uint64_t hash_ = 0xcbf29ce484222325u;
};

} // namespace

uint64_t fingerprint(const Tensors& tensors) {
    Fnv1a hash;
    for (const auto& [name, view] : tensors.all()) {
        hash.add(std::string_view(name));
        hash.add(std::string_view(name_of(view.dtype)));
        hash.add(view.shape.size());
        for (int64_t side : view.shape) hash.add(uint64_t(side));
        const bool small = view.bytes <= PLACES * PIECE;
        const size_t places = small ? 1 : PLACES, piece = small ? view.bytes : PIECE;
        for (size_t i = 0; i < places; i++) {
            std::array<std::byte, PLACES * PIECE> bytes;
            view.read(small ? 0 : (view.bytes - PIECE) * i / (PLACES - 1), bytes.data(), piece);
            hash.add(bytes.data(), piece);
        }
    }
    return hash.hash();
}

std::string fingerprint_text(uint64_t fingerprint) {
    char digits[DIGITS + 1];
    std::snprintf(digits, sizeof digits, "%016llx", static_cast<unsigned long long>(fingerprint));
    return std::string(PREFIX) + digits;
}

bool parse_fingerprint(const std::string& text, uint64_t& fingerprint) {
    if (!text.starts_with(PREFIX) || text.size() != PREFIX.size() + DIGITS) return false;
    const char* end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data() + PREFIX.size(), end, fingerprint, 16);
    return error == std::errc() && stop == end && text == fingerprint_text(fingerprint);
}

} // namespace mc::model
