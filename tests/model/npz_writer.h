// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// Archives of arrays as numpy.savez writes them, and ones that lie.
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "tests/model/weight_writer.h"

namespace mc::test {

// An array's bytes: its header, `dictionary`, padded as numpy does, then `data`.
inline std::string npy_bytes(std::string dictionary, const std::string& data, int version = 1) {
    const size_t start = version == 1 ? 10 : 12;
    while ((start + dictionary.size() + 1) % 64) dictionary += ' ';
    dictionary += '\n';
    std::string bytes = std::string("\x93NUMPY") + char(version) + '\0';
    for (size_t i = 0; i < start - 8; i++) bytes += char(dictionary.size() >> (8 * i));
    return bytes + dictionary + data;
}

inline std::string npy_header(const std::string& descr, const std::string& shape,
                              bool columns_first = false) {
    return "{'descr': '" + descr + "', 'fortran_order': " + (columns_first ? "True" : "False") +
           ", 'shape': " + shape + ", }";
}

inline std::string npz_bytes(const std::vector<std::pair<std::string, std::string>>& entries) {
    TemporaryFolder folder;
    ZipWriter zip(folder / "a.npz");
    for (const auto& [name, bytes] : entries) zip.add(name, bytes);
    zip.finish();
    return read_file(folder / "a.npz");
}

// The same archive with records of zip64 at its end, as if it were longer than 4 GiB.
inline std::string with_zip64_end(const std::string& archive) {
    const size_t end = archive.rfind("PK\x05\x06"), directory = archive.find("PK\x01\x02");
    std::string end64(56, '\0'), locator(20, '\0'), last = archive.substr(end);
    const auto put = [](std::string& text, size_t at, uint64_t value, size_t bytes) {
        for (size_t i = 0; i < bytes; i++) text[at + i] = char(value >> (8 * i));
    };
    put(end64, 0, 0x06064b50, 4), put(end64, 32, uint8_t(archive[end + 10]), 8);
    put(end64, 40, end - directory, 8), put(end64, 48, directory, 8);
    put(locator, 0, 0x07064b50, 4), put(locator, 8, end, 8), put(locator, 16, 1, 4);
    put(last, 10, 0xffff, 2), put(last, 12, 0xffffffff, 4), put(last, 16, 0xffffffff, 4);
    return archive.substr(0, end) + end64 + locator + last;
}

} // namespace mc::test
