// SPDX-License-Identifier: LGPL-2.1-or-later
#include <chrono>

#include "engine/error.h"
#include "engine/model/fingerprint.h"
#include "engine/networks/wan_dit/wan_dit_files.h"
#include "tests/check.h"
#include "tests/model/memory_file.h"
#include "tests/model/published.h"

using namespace mc;
using namespace mc::model;
using namespace mc::test;

namespace {

// Tensors in memory, of one type.
struct Memory final : Tensors {
    Memory& add(const std::string& name, std::vector<int64_t> shape, const std::string& bytes,
                DType type = DType::U8) {
        tensors_[name] = {type, std::move(shape), bytes.size(), MemoryFile::of("memory", bytes), 0, {}};
        return *this;
    }
};

uint64_t of(const std::string& name, const std::vector<int64_t>& shape, const std::string& bytes,
            DType type = DType::U8) {
    Memory memory;
    return fingerprint(memory.add(name, shape, bytes, type));
}

uint64_t of_folder(const std::string& path) {
    TransformerConfig config;
    return fingerprint(*open_transformer(path, config));
}

} // namespace

TEST(fingerprint_of_names_types_shapes_and_bytes) {
    const uint64_t plain = of("a", {2, 3}, "abcdef");
    CHECK_EQ(plain, of("a", {2, 3}, "abcdef"));
    CHECK(plain != of("b", {2, 3}, "abcdef"));
    CHECK(plain != of("a", {3, 2}, "abcdef"));
    CHECK(plain != of("a", {6}, "abcdef"));
    CHECK(plain != of("a", {2, 3}, "abcdeg"));
    CHECK(plain != of("a", {2, 3}, "abcdef", DType::I8));
    Memory two, joined;
    two.add("a", {1}, "x").add("b", {1}, "y");
    joined.add("a", {1}, "x");
    CHECK(fingerprint(two) != fingerprint(joined));
    Memory none;
    CHECK_EQ(fingerprint_text(fingerprint(none)), "fnv1a64:cbf29ce484222325"); // the start of FNV-1a
    CHECK(of("a", {0}, "") != fingerprint(none));
}

TEST(fingerprint_reads_from_the_first_to_the_last_byte) {
    for (size_t size : {255, 256, 257, 300, 4096, 100001}) {
        std::string bytes(size, 'x');
        const uint64_t before = of("a", {int64_t(size)}, bytes);
        const size_t last = size - 64; // where the last place begins
        for (size_t at : {size_t(0), size_t(63), last / 3, last * 2 / 3 + 63, last, size - 1}) {
            std::string changed = bytes;
            changed[at] = 'y';
            CHECK(of("a", {int64_t(size)}, changed) != before);
        }
    }
}

TEST(fingerprint_is_the_same_in_both_layouts) {
    const std::string golden = source_path("tests/golden/data/weights/");
    const uint64_t original = of_folder(golden + "original"), other = of_folder(golden + "original_nofps");
    CHECK_EQ(original, of_folder(golden + "diffusers/transformer"));
    CHECK(original != other);
    // The same values in another type are other weights: bf16 and float32 runs differ.
    CHECK(other != of_folder(golden + "diffusers_nofps/transformer"));
}

// A model of 57 GB in holes of a file: reading it all would take a minute.
TEST(fingerprint_of_the_largest_model_reads_little) {
    TemporaryFolder folder;
    write_original_folder(folder.path, DF_14B_540P);
    const auto start = std::chrono::steady_clock::now();
    const uint64_t large = of_folder(folder.path);
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    CHECK(seconds < 5);
    CHECK(large != 0);
}

TEST(fingerprint_text_and_back) {
    for (uint64_t value : {uint64_t(0), uint64_t(1), uint64_t(0xfedcba9876543210), ~uint64_t(0)}) {
        uint64_t read = 7;
        CHECK(parse_fingerprint(fingerprint_text(value), read));
        CHECK_EQ(read, value);
    }
}
