// SPDX-License-Identifier: LGPL-2.1-or-later
#include "engine/text/sentencepiece_check.h"

#include <cstdint>
#include <cstring>
#include <vector>

namespace mc::text {
namespace {

constexpr uint32_t NORMALIZER_SPEC = 3;      // field of ModelProto
constexpr uint32_t PRECOMPILED_CHARSMAP = 2; // field of NormalizerSpec

// The fields of one protobuf message, in order.
class Message {
  public:
    explicit Message(std::string_view bytes) : rest_(bytes) {}
    // False at the end, or with `broken` set where the bytes are no message.
    bool next() {
        if (rest_.empty()) return false;
        uint64_t key, size = 0;
        if (!varint(key)) return fail();
        field = uint32_t(key >> 3);
        switch (key & 7) {
        case 0:
            return varint(size) || fail();
        case 1:
            size = 8;
            break;
        case 2:
            if (!varint(size)) return fail();
            break;
        case 5:
            size = 4;
            break;
        default:
            return fail();
        }
        if (size > rest_.size()) return fail();
        bytes = rest_.substr(0, size);
        rest_.remove_prefix(size);
        return true;
    }
    uint32_t field = 0;
    std::string_view bytes;
    bool broken = false;

  private:
    bool fail() {
        broken = true;
        return false;
    }
    bool varint(uint64_t& value) {
        value = 0;
        for (int shift = 0; shift < 64 && !rest_.empty(); shift += 7) {
            uint8_t byte = uint8_t(rest_[0]);
            rest_.remove_prefix(1);
            value |= uint64_t(byte & 0x7F) << shift;
            if (byte < 0x80) return true;
        }
        return false;
    }
    std::string_view rest_;
};

// A character map is the size of a double-array trie in bytes, the trie, and the replacements, each ending in
// NUL. A unit of the trie: bit 31 marks a value (the other bits, an offset into the replacements); else bits 10
// and up are the distance to its children (times 256 if bit 9 is set), bit 8 says that the child 0 is a value.
std::string charsmap_fault(std::string_view map) {
    constexpr const char* FAULT = "its character map is damaged";
    if (map.empty()) return {};
    uint32_t bytes;
    if (map.size() <= sizeof bytes) return FAULT;
    std::memcpy(&bytes, map.data(), sizeof bytes);
    map.remove_prefix(sizeof bytes);
    if (bytes == 0 || bytes >= map.size() || bytes % 4 != 0) return FAULT;

    std::vector<uint32_t> units(bytes / 4);
    std::memcpy(units.data(), map.data(), bytes);
    std::string_view replacements = map.substr(bytes);
    if (replacements.back() != '\0') return FAULT;

    for (size_t i = 0; i < units.size(); i++) {
        uint32_t unit = units[i];
        if (i > 0 && unit >> 31) continue; // a value has no children
        size_t children = i ^ (size_t(unit >> 10) << (unit & 0x200 ? 8 : 0));
        if ((children | 0xFF) >= units.size()) return FAULT; // the child of every byte must exist
        if (unit & 0x100 && (units[children] & 0x7FFFFFFF) >= replacements.size()) return FAULT;
    }
    return {};
}

} // namespace

std::string sentencepiece_fault(std::string_view model) {
    Message top(model);
    while (top.next()) {
        if (top.field != NORMALIZER_SPEC) continue;
        Message spec(top.bytes);
        while (spec.next()) {
            if (spec.field != PRECOMPILED_CHARSMAP) continue;
            if (std::string fault = charsmap_fault(spec.bytes); !fault.empty()) return fault;
        }
        if (spec.broken) return "it is cut off or damaged";
    }
    return top.broken ? "it is cut off or damaged" : "";
}

} // namespace mc::text
