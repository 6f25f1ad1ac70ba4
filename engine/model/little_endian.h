// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// Numbers of a file, at any alignment. The caller has checked that the bytes are there.
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace mc::model {

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
              "weight files are little endian and read as they are");

template <class T>
T read_number(const std::byte* at) {
    T value;
    std::memcpy(&value, at, sizeof value);
    return value;
}
inline uint16_t read_u16(const std::byte* at) {
    return read_number<uint16_t>(at);
}
inline uint32_t read_u32(const std::byte* at) {
    return read_number<uint32_t>(at);
}
inline uint64_t read_u64(const std::byte* at) {
    return read_number<uint64_t>(at);
}

} // namespace mc::model
