// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// Damage in every place of a small file: what a reader makes of it must be an mc::Error or a result
// whose bytes lie inside the file.
#include <functional>
#include <string>
#include <vector>

#include "engine/error.h"
#include "engine/model/tensor_view.h"
#include "tests/check.h"
#include "tests/model/memory_file.h"

namespace mc::test {

struct DamageCount {
    size_t refused = 0, read = 0;
};

using Reader = std::function<model::TensorMap(const std::shared_ptr<const model::DataFile>& file)>;

inline void read_damaged(const std::string& bytes, const Reader& read, DamageCount& count) {
    const auto file = MemoryFile::of("damaged", bytes);
    try {
        for (const auto& [name, view] : read(file)) {
            if (view.bytes <= 16 * bytes.size()) bytes_of(view); // a trap when it lies outside
            CHECK_EQ(model::byte_count(view.dtype, view.shape).value_or(~uint64_t(0)), uint64_t(view.bytes));
        }
        count.read++;
    } catch (const Error& e) {
        CHECK(e.status == MC_ERROR_READ);
        count.refused++;
    }
}

// Flips bits of every byte, cuts the file at every length, repeats and drops each byte.
inline DamageCount damage_everywhere(const std::string& good, const Reader& read) {
    DamageCount count;
    for (size_t at = 0; at < good.size(); at++) {
        for (int bits : {0x01, 0x80, 0xff, 0x20}) {
            std::string bad = good;
            bad[at] = char(bad[at] ^ bits);
            read_damaged(bad, read, count);
        }
        read_damaged(good.substr(0, at), read, count);
        read_damaged(good.substr(0, at) + good.substr(at + 1), read, count);
        read_damaged(good.substr(0, at) + good.substr(at, 1) + good.substr(at), read, count);
    }
    return count;
}

} // namespace mc::test
