// SPDX-License-Identifier: LGPL-2.1-or-later
#include "engine/model/safetensors.h"
#include "engine/model/weight_files.h"
#include "tests/model/damage.h"
#include "tests/model/weight_writer.h"

using namespace mc;
using namespace mc::model;
using namespace mc::test;
using namespace std::string_literals;

namespace {

TensorMap parse(const std::string& bytes) {
    return parse_safetensors(MemoryFile::of("w.safetensors", bytes));
}
TensorMap parse(const std::string& header, const std::string& body) {
    return parse(safetensors_bytes(header, body));
}

const std::string GOOD =
    R"({"__metadata__":{"format":"pt"},"a":{"dtype":"F32","shape":[2,1],"data_offsets":[0,8]},)"
    R"("b":{"dtype":"BF16","shape":[],"data_offsets":[8,10]},"c":{"dtype":"U8","shape":[0,3],"data_offsets":[10,10]}}  )";

} // namespace

TEST(safetensors_reads_types_shapes_and_bytes) {
    std::string file = safetensors_bytes(GOOD, "abcdefghij");
    TensorMap tensors = parse(file);
    CHECK_EQ(tensors.size(), size_t(3));
    CHECK(tensors.at("a").dtype == DType::F32 && tensors.at("a").shape == (std::vector<int64_t>{2, 1}));
    CHECK_EQ(bytes_of(tensors.at("a")), "abcdefgh");
    CHECK(tensors.at("b").dtype == DType::BF16 && tensors.at("b").shape.empty());
    CHECK_EQ(bytes_of(tensors.at("b")), "ij");
    CHECK_EQ(tensors.at("c").bytes, size_t(0));
}

TEST(safetensors_refuses_headers_that_lie) {
    CHECK_ERROR(parse(""), MC_ERROR_READ, "too short");
    CHECK_ERROR(parse("PK\x03\x04"), MC_ERROR_READ, "w.safetensors: is too short");
    CHECK_ERROR(parse(std::string("\xff\xff\xff\xff\xff\xff\xff\xff{}", 10)), MC_ERROR_READ, "cut off");
    CHECK_ERROR(parse(std::string("\x03\0\0\0\0\0\0\0{}", 10)), MC_ERROR_READ, "cut off");
    CHECK_ERROR(parse("", ""), MC_ERROR_READ, "not valid JSON");
    CHECK_ERROR(parse("{", ""), MC_ERROR_READ, "not valid JSON");
    CHECK_ERROR(parse("{}x", ""), MC_ERROR_READ, "not valid JSON");
    CHECK_ERROR(parse("[]", ""), MC_ERROR_READ, "impossible place");
    CHECK_ERROR(parse("7", ""), MC_ERROR_READ, "impossible place");
    CHECK_ERROR(parse(R"({"a":"b"})", ""), MC_ERROR_READ, "impossible place");
    CHECK_ERROR(parse(R"({"a":null})", ""), MC_ERROR_READ, "impossible place");
    CHECK_ERROR(parse(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4],"more":true}})", "abcd"),
                MC_ERROR_READ, "impossible place ('more' of 'a')");
    CHECK_ERROR(parse(R"({"a":{"dtype":"F32","dtype":"F32","shape":[1],"data_offsets":[0,4]}})", "abcd"),
                MC_ERROR_READ, "impossible place");
    CHECK_ERROR(parse(R"({"a":{"shape":[1],"data_offsets":[0,4]}})", "abcd"), MC_ERROR_READ,
                "lacks its dtype");
    CHECK_ERROR(parse(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0]}})", "abcd"), MC_ERROR_READ,
                "lacks its dtype");
    CHECK_ERROR(parse(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4,4]}})", "abcd"), MC_ERROR_READ,
                "impossible place");
    CHECK_ERROR(parse(R"({"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}})", "abcd"), MC_ERROR_READ,
                "negative");
    CHECK_ERROR(parse(R"({"a":{"dtype":"F32","shape":[1.0],"data_offsets":[0,4]}})", "abcd"), MC_ERROR_READ,
                "fraction");
    CHECK_ERROR(parse(R"({"a":{"dtype":"F32","shape":[1e999],"data_offsets":[0,4]}})", "abcd"), MC_ERROR_READ,
                "header");
    CHECK_ERROR(parse(R"({"a":{"dtype":"F32","shape":[1,1,1,1,1,1,1,1,1],"data_offsets":[0,4]}})", "abcd"),
                MC_ERROR_READ, "impossible place");
    CHECK_ERROR(parse(R"({"a":{"dtype":"F8_E5M2","shape":[4],"data_offsets":[0,4]}})", "abcd"), MC_ERROR_READ,
                "type 'F8_E5M2', which is not supported");
    CHECK_ERROR(parse(R"({"a":{"dtype":"F32","shape":[[1]],"data_offsets":[0,4]}})", "abcd"), MC_ERROR_READ,
                "a list");
    CHECK_ERROR(
        parse(
            R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"a":{"dtype":"F32","shape":[0],"data_offsets":[4,4]}})",
            "abcd"),
        MC_ERROR_READ, "'a' is there twice");
}

TEST(safetensors_refuses_offsets_that_do_not_fit) {
    CHECK_ERROR(parse(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})", "abc"), MC_ERROR_READ,
                "claims bytes 0 to 4, but the file holds 3");
    CHECK_ERROR(parse(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}})", "abcd"), MC_ERROR_READ,
                "claims bytes 4 to 0");
    CHECK_ERROR(parse(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,18446744073709551615]}})", "abcd"),
                MC_ERROR_READ, "claims");
    CHECK_ERROR(parse(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}})", "abcd"), MC_ERROR_READ,
                "does not match");
    // Products that would wrap around to the right number.
    CHECK_ERROR(parse(R"({"a":{"dtype":"F32","shape":[4611686018427387905],"data_offsets":[0,4]}})", "abcd"),
                MC_ERROR_READ, "does not match");
    CHECK_ERROR(parse(R"({"a":{"dtype":"U8","shape":[4294967296,4294967296],"data_offsets":[0,0]}})", ""),
                MC_ERROR_READ, "does not match");
    CHECK_ERROR(
        parse(
            R"({"a":{"dtype":"U8","shape":[0,9223372036854775807,9223372036854775807],"data_offsets":[0,0]}})",
            ""),
        MC_ERROR_READ, "does not match");
    CHECK_ERROR(
        parse(
            R"({"a":{"dtype":"U8","shape":[3],"data_offsets":[0,3]},"b":{"dtype":"U8","shape":[2],"data_offsets":[2,4]}})",
            "abcd"),
        MC_ERROR_READ, "'b' overlaps");
    CHECK_ERROR(
        parse(
            R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"b":{"dtype":"U8","shape":[2],"data_offsets":[2,4]}})",
            "abcd"),
        MC_ERROR_READ, "1 bytes before tensor 'b' belong to no tensor");
    CHECK_ERROR(parse(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}})", "abcd"), MC_ERROR_READ,
                "last 3 bytes");
}

// The format allows spaces after the header's JSON and nothing after the last tensor; its own library refuses such a
// file (MetadataIncompleteBuffer). One reader serves single files, shards, checks and the fingerprint.
TEST(safetensors_padding_is_that_of_the_format_everywhere) {
    const std::string header = R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}})";
    CHECK_EQ(parse(header + "   ", "x").size(), size_t(1));
    for (const std::string& bad : {" " + header, "\n" + header, header + '\0', header + " \0 "s})
        CHECK_ERROR(parse(bad, "x"), MC_ERROR_READ, "padding other than spaces at its end");
    CHECK_ERROR(parse(header + "x", "x"), MC_ERROR_READ, "not valid JSON");
    TemporaryFolder folder;
    for (const std::string& padding : {"\0"s, " "s, std::string(4096, '\0')}) {
        const std::string last = "its last " + std::to_string(padding.size()) + " bytes belong to no tensor";
        write_file(folder / "one/model.safetensors", safetensors_bytes(header, "x" + padding));
        CHECK_ERROR(open_weight_file(folder / "one/model.safetensors"), MC_ERROR_READ, last);
        CHECK_ERROR(open_weight_shards(folder / "one"), MC_ERROR_READ, last);
        write_file(folder / "two/m-00001-of-00002.safetensors", safetensors_bytes(header, "x"));
        write_file(folder / "two/m-00002-of-00002.safetensors",
                   safetensors_bytes(R"({"b":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}})", padding));
        CHECK_ERROR(open_weight_shards(folder / "two"), MC_ERROR_READ, last);
        write_file(
            folder / "two/m.safetensors.index.json",
            R"({"weight_map":{"a":"m-00001-of-00002.safetensors","b":"m-00002-of-00002.safetensors"}})");
        CHECK_ERROR(open_weight_shards(folder / "two"), MC_ERROR_READ, last);
    }
}

TEST(safetensors_names_are_fit_to_print) {
    CHECK_ERROR(parse(R"({"\u001b[31m\u00e9x":{"dtype":"U8","shape":[2],"data_offsets":[0,1]}})", "a"),
                MC_ERROR_READ, "'?[31m??x'");
    std::string longer(200, 'n');
    CHECK_ERROR(parse(R"({")" + longer + R"(":{"dtype":"U8","shape":[2],"data_offsets":[0,1]}})", "a"),
                MC_ERROR_READ, "'" + longer.substr(0, 80) + "...'");
}

TEST(safetensors_deep_and_long_headers_stay_small) {
    CHECK_ERROR(parse(R"({"a":)" + std::string(1000000, '['), ""), MC_ERROR_READ, "a list");
    std::string many = R"({"a":{"dtype":"U8","shape":[)";
    for (int i = 0; i < 100000; i++) many += "1,";
    CHECK_ERROR(parse(many + "1]}}", ""), MC_ERROR_READ, "a number");
}

TEST(safetensors_damage_everywhere_is_an_error_or_a_sound_result) {
    DamageCount count = damage_everywhere(safetensors_bytes(GOOD, "abcdefghij"), parse_safetensors);
    // Flips in names, metadata and data are harmless; everything that moves or cuts bytes is not.
    CHECK(count.refused > 1000);
    CHECK(count.read > 50);
}
