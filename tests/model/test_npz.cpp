// SPDX-License-Identifier: LGPL-2.1-or-later
#include "engine/model/npz.h"
#include "tests/model/damage.h"
#include "tests/model/npz_writer.h"
#include "tests/model/published.h"

using namespace mc;
using namespace mc::model;
using namespace mc::test;
using namespace std::string_literals;

namespace {

TensorMap parse(const std::string& bytes) {
    return parse_npz(MemoryFile::of("t.npz", bytes));
}
// The archive of one array "a".
std::string one(const std::string& dictionary, const std::string& data, int version = 1) {
    return npz_bytes({{"a.npy", npy_bytes(dictionary, data, version)}});
}
const std::string BODY = "0123456789abcdefghijklmn"; // 24 bytes

} // namespace

TEST(npz_reads_types_and_shapes) {
    const std::vector<std::tuple<std::string, DType, int64_t>> types{
        {"<f8", DType::F64, 3}, {"<f4", DType::F32, 6}, {"<f2", DType::F16, 12},
        {"<i8", DType::I64, 3}, {"<i4", DType::I32, 6}, {"<i2", DType::I16, 12},
        {"|i1", DType::I8, 24}, {"|u1", DType::U8, 24}, {"|b1", DType::BOOL, 24}};
    for (const auto& [descr, dtype, count] : types)
        for (int version = 1; version <= 3; version++) {
            const TensorMap arrays =
                parse(one(npy_header(descr, "(" + std::to_string(count) + ",)"), BODY, version));
            CHECK(arrays.at("a").dtype == dtype);
            CHECK(arrays.at("a").shape == std::vector<int64_t>{count});
            CHECK_EQ(bytes_of(arrays.at("a")), BODY);
        }
    CHECK(parse(one(npy_header("<f4", "(2, 3)"), BODY)).at("a").shape == (std::vector<int64_t>{2, 3}));
    CHECK(parse(one(npy_header("<f8", "()"), BODY.substr(0, 8))).at("a").shape.empty());
    CHECK_EQ(parse(one(npy_header("<f8", "(0, 3)"), "")).at("a").bytes, size_t(0));
    CHECK_EQ(parse(one(npy_header("<f8", "(0, 3)", true), "")).at("a").bytes, size_t(0));
    // As other writers than numpy have it: the order is free, and so are blanks and quotes.
    CHECK_EQ(bytes_of(parse(one("{\"shape\":(6),'fortran_order' :False,'descr':\"<f4\"}", BODY)).at("a")),
             BODY);
}

TEST(npz_reads_arrays_whose_first_index_runs_fastest) {
    // Rows "acegik..." of pairs: element (i, j) lies at i + 2 j.
    const TensorView view = parse(one(npy_header("|u1", "(2, 3)", true), "aAbBcC")).at("a");
    CHECK(view.stride == (std::vector<int64_t>{1, 2}));
    CHECK_EQ(bytes_of(view), "abcABC");
    std::string part(2, '\0');
    view.read(2, part.data(), 2);
    CHECK_EQ(part, "cA");
}

TEST(npz_of_numpy_itself) {
    const std::string bytes = read_file(source_path("tests/golden/data/magi1/text/special_tokens.npz"));
    const TensorMap arrays = parse(bytes);
    CHECK_EQ(arrays.size(), size_t(3));
    CHECK(arrays.at("other_tokens").dtype == DType::F64);
    CHECK(arrays.at("other_tokens").shape == (std::vector<int64_t>{100, 64}));
    CHECK(arrays.at("logo_token").shape == (std::vector<int64_t>{1, 64}));
    // Cut off anywhere: the directory, which is at the end, is not there.
    for (size_t at = 0; at < bytes.size(); at += at < 1000 || at + 1000 > bytes.size() ? 1 : 97)
        CHECK_ERROR(parse(bytes.substr(0, at)), MC_ERROR_READ, "t.npz");
}

TEST(npz_with_the_end_of_zip64) {
    const std::string archive = one(npy_header("<f4", "(6,)"), BODY);
    CHECK_EQ(bytes_of(parse(with_zip64_end(archive)).at("a")), BODY);
}

TEST(npz_refuses_other_types_by_name) {
    for (const char* descr : {">f8", "<c16", "<U3", "|O", "|S4", "<M8[s]", "<f16", "=f4", "f4", ""})
        CHECK_ERROR(parse(one(npy_header(descr, "(3,)"), BODY)), MC_ERROR_READ,
                    "array 'a' is of type '"s + descr + "', which is not supported; save it as float64");
    CHECK_ERROR(parse(one("{'descr': [('x', '<f8')], 'fortran_order': False, 'shape': (3,)}", BODY)),
                MC_ERROR_READ, "array 'a' is one of records");
}

TEST(npz_refuses_headers_that_numpy_never_writes) {
    const std::string type = "'descr': '<f4', ", order = "'fortran_order': False, ",
                      shape = "'shape': (6,), ";
    for (const std::string& header : {""s,
                                      "{}"s,
                                      "{" + type + order + "}",
                                      "{" + type + shape + "}",
                                      "{" + order + shape + "}",
                                      "{" + type + order + shape,
                                      "{" + type + order + shape + "} x",
                                      "{" + type + type + order + shape + "}",
                                      "{" + type + order + shape + "'x': 1}",
                                      "{" + type + "'fortran_order': 0, " + shape + "}",
                                      "{" + type + order + "'shape': 6}",
                                      "{" + type + order + "'shape': (-6,)}",
                                      "{" + type + order + "'shape': (6.0,)}",
                                      "{" + type + order + "'shape': (6 6)}",
                                      "{" + type + order + "'shape': (6,}",
                                      "{" + type + order + "'shape': (0000000000000000006,)}",
                                      "{" + type + order + "'shape': (1,1,1,1,1,1,1,1,6)}",
                                      "{'descr: '<f4', " + order + shape + "}",
                                      "{'descr' '<f4', " + order + shape + "}",
                                      "{descr: '<f4', " + order + shape + "}"})
        CHECK_ERROR(parse(one(header, BODY)), MC_ERROR_READ, "is none that numpy writes");
}

TEST(npz_refuses_sizes_that_do_not_fit) {
    for (const char* shape : {"(5,)", "(7,)", "()", "(0,)", "(100000000000000000, 100000000000000000)"})
        CHECK_ERROR(parse(one(npy_header("<f4", shape), BODY)), MC_ERROR_READ,
                    "has 24 bytes, which does not match");
    std::string array = npy_bytes(npy_header("<f4", "(6,)"), BODY);
    array[9] = 1; // a header of 256 bytes more
    CHECK_ERROR(parse(npz_bytes({{"a.npy", array}})), MC_ERROR_READ, "claims a header of");
    array[9] = char(0xff);
    CHECK_ERROR(parse(npz_bytes({{"a.npy", array}})), MC_ERROR_READ, "claims a header of");
    array = npy_bytes(npy_header("<f4", "(6,)"), BODY, 2);
    array[11] = 0x7f;
    CHECK_ERROR(parse(npz_bytes({{"a.npy", array}})), MC_ERROR_READ, "claims a header of");
}

TEST(npz_refuses_what_is_no_array) {
    const std::string array = npy_bytes(npy_header("<f4", "(6,)"), BODY);
    for (const std::string& bytes : {""s, "\x93NUMPY"s, "\x93NUMPX"s + array.substr(6), array.substr(0, 11)})
        CHECK_ERROR(parse(npz_bytes({{"a.npy", bytes}})), MC_ERROR_READ,
                    "array 'a' is no array of numpy or is cut off");
    for (int version : {0, 4})
        CHECK_ERROR(parse(npz_bytes({{"a.npy", npy_bytes(npy_header("<f4", "(6,)"), BODY, version)}})),
                    MC_ERROR_READ, "is no array of numpy");
    CHECK_ERROR(parse(npz_bytes({{"a.npy", array}, {"readme.txt", "hello"}})), MC_ERROR_READ,
                "holds 'readme.txt', which is no array; save the arrays again with numpy.savez");
    CHECK_ERROR(parse(array), MC_ERROR_READ, "is not an .npz file of numpy.savez");
    CHECK_ERROR(parse("P"), MC_ERROR_READ, "is not an .npz file of numpy.savez");
}

TEST(npz_refuses_compressed_arrays_with_the_remedy) {
    std::string bytes = one(npy_header("<f4", "(6,)"), BODY);
    const size_t entry = bytes.find("PK\x01\x02");
    bytes[8] = bytes[entry + 10] = 8; // deflate
    CHECK_ERROR(parse(bytes), MC_ERROR_READ,
                "array 'a.npy' is compressed; save the arrays again with numpy.savez");
}

TEST(npz_damage_everywhere_is_an_error_or_a_sound_result) {
    const DamageCount count =
        damage_everywhere(npz_bytes({{"a.npy", npy_bytes(npy_header("<f4", "(2, 3)", true), BODY)},
                                     {"b.npy", npy_bytes(npy_header("|b1", "()"), "x")}}),
                          parse_npz);
    CHECK(count.refused > 500);
    CHECK(count.read > 100); // numbers, padding, and what checksums would tell
}
