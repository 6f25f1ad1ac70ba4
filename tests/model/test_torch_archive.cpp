// SPDX-License-Identifier: LGPL-2.1-or-later
#include "engine/model/pickle.h"
#include "engine/model/torch_archive.h"
#include "engine/model/weight_files.h"
#include "engine/model/zip_archive.h"
#include "tests/model/damage.h"
#include "tests/model/published.h"

using namespace mc;
using namespace mc::model;
using namespace mc::test;
using namespace std::string_literals;

namespace {

TensorMap parse(const std::string& bytes) {
    return parse_torch_archive(MemoryFile::of("w.pth", bytes));
}
std::string archive(const std::string& pickle,
                    const std::vector<std::pair<std::string, std::string>>& storages = {}) {
    TemporaryFolder folder;
    write_pth(folder / "w.pth", pickle, storages);
    return read_file(folder / "w.pth");
}
// The archive of one tensor "w"; what differs from a good one is in the arguments.
std::string one_tensor(const std::string& type, int64_t elements, int64_t offset,
                       const std::vector<int64_t>& shape, const std::vector<int64_t>& stride,
                       const std::string& storage) {
    PickleWriter pickle;
    pickle.ordered_dict().op("(").text("w").tensor(type, "0", elements, offset, shape, stride).op("u.");
    return archive(pickle.bytes, {{"0", storage}});
}
std::vector<PickledTensor> unpickle(const std::string& bytes) {
    return read_pickled_tensors(bytes, "w.pth");
}
std::string replaced(std::string text, const std::string& from, const std::string& to) {
    size_t at = text.find(from);
    CHECK(at != std::string::npos);
    return text.replace(at, from.size(), to);
}
template <class T>
std::string patched(std::string text, size_t at, T value) {
    std::memcpy(text.data() + at, &value, sizeof value);
    return text;
}

const std::string BODY = "0123456789abcdef";

} // namespace

TEST(pth_reads_types_shapes_offsets_and_shared_storages) {
    PickleWriter pickle;
    pickle.ordered_dict()
        .op("(")
        .text("a")
        .tensor("FloatStorage", "0", 4, 1, {3, 1}, {1, 99})
        .text("b")
        .tensor("FloatStorage", "0", 4, 0, {2, 2}, {2, 1})
        .text("c")
        .tensor("BFloat16Storage", "k", 1, 0, {}, {})
        .op("u.");
    std::string file = archive(pickle.bytes, {{"0", BODY}, {"k", "zz"}});
    TensorMap tensors = parse(file);
    CHECK_EQ(tensors.size(), size_t(3));
    CHECK_EQ(bytes_of(tensors.at("a")), BODY.substr(4, 12));
    CHECK(tensors.at("a").shape == (std::vector<int64_t>{3, 1}));
    CHECK_EQ(bytes_of(tensors.at("b")), BODY);
    CHECK(tensors.at("c").dtype == DType::BF16);
    CHECK_EQ(bytes_of(tensors.at("c")), "zz");
}

TEST(pth_reads_a_plain_dictionary_with_memo_and_metadata) {
    // As Module.state_dict() is saved: single items, values kept and recalled, "_metadata" as the
    // dictionary's state.
    PickleWriter pickle;
    pickle.op("}q\x01").text("w").tensor("HalfStorage", "0", 2, 0, {2}, {1}).op("s");
    pickle.op("}").text("_metadata").op("q\x02").ordered_dict().op("s").op("b.");
    std::string file = archive(pickle.bytes, {{"0", "wxyz"}});
    CHECK_EQ(bytes_of(parse(file).at("w")), "wxyz");
}

TEST(pth_refuses_foreign_globals_by_name) {
    for (const char* module : {"os", "builtins", "torch", "collections", "__main__"}) {
        PickleWriter pickle;
        pickle.global(module, "system").text("touch owned").op("\x85R.");
        CHECK_ERROR(parse(archive(pickle.bytes)), MC_ERROR_READ,
                    std::string("asks for '") + module + ".system'");
        CHECK_ERROR(parse(archive(pickle.bytes)), MC_ERROR_READ, "nothing was executed");
    }
    for (const char* name : {"eval", "exec", "getattr", "__import__", "open"})
        for (const char* module : {"builtins", "__builtin__"})
            CHECK_ERROR(unpickle(PickleWriter().global(module, name).op(".").bytes), MC_ERROR_READ,
                        "nothing was executed");
    // A storage type is no callable, and a tensor is not built by OrderedDict.
    CHECK_ERROR(unpickle(PickleWriter().global("torch", "FloatStorage").op(")R.").bytes), MC_ERROR_READ,
                "cannot be called");
    CHECK_ERROR(unpickle(PickleWriter().global("collections", "OrderedDict").integers({1}).op("R.").bytes),
                MC_ERROR_READ, "has arguments");
}

TEST(pth_refuses_opcodes_that_torch_never_writes) {
    for (const char* code : {"i", "o", "I1\n", "S'a'\n", "V1\n", "F1\n", "L1L\n", "\x82\x01", "\x8b", "\x92",
                             "\x97", "\x98", "P1\n", "g1\n", "p1\n", "2", "l", "d"})
        CHECK_ERROR(unpickle(PickleWriter().op(code).op(".").bytes), MC_ERROR_READ,
                    "which torch.save never writes");
    for (const char* version : {"\x80\x01.", "\x80\x06."})
        CHECK_ERROR(unpickle(version), MC_ERROR_READ, "not 2 to 5");
}

TEST(pth_reads_every_opcode_of_later_protocols) {
    const std::string frame = "\x95\x02\0\0\0\0\0\0\0"s, size8 = "\x02\0\0\0\0\0\0\0"s;
    PickleWriter pickle;
    pickle.bytes = "\x80\x04" + frame + "}\x94";
    pickle.op("\x8c\x01w").tensor("FloatStorage", "0", 4, 0, {4}, {1}).op("s."); // a short name
    CHECK_EQ(unpickle(pickle.bytes).at(0).name, "w");
    // What lies beside a dictionary of tensors: each of these is one value, passed over.
    for (const std::string& value : {"N"s,
                                     "\x88"s,
                                     "G12345678"s,
                                     "\x8d"s + size8 + "ab",
                                     "U\x01"
                                     "a"s,
                                     "T\x01\0\0\0a"s,
                                     "B\x01\0\0\0a"s,
                                     "C\x01"
                                     "a"s,
                                     "\x8e"s + size8 + "ab",
                                     "\x96"s + size8 + "ab",
                                     "]N"
                                     "a"s,
                                     "](NNe"s,
                                     "\x8f(NN\x90"s,
                                     "(N\x91"s,
                                     "NN0"s,
                                     "(NN1N"s,
                                     "(0N"s,
                                     "cargparse\nNamespace\n)\x81}b"s,
                                     "\x8c\x08"
                                     "argparse\x8c\x09Namespace\x93)R"s,
                                     "ccollections\ndefaultdict\n)R(NNu"s,
                                     "ctorch\nfloat32\n"s}) {
        PickleWriter beside;
        beside.op("}").text("beside").op(value).op("s");
        beside.text("model").op("}").text("w").tensor("FloatStorage", "0", 4, 0, {4}, {1}).op("ss.");
        CHECK_EQ(unpickle(beside.bytes).size(), size_t(1));
        // and cut anywhere it is an error
        const size_t from = beside.bytes.find("beside") + 6;
        for (size_t at = from; at < beside.bytes.size(); at++)
            CHECK_ERROR(unpickle(beside.bytes.substr(0, at)), MC_ERROR_READ, "w.pth");
    }
}

TEST(pth_refuses_what_later_protocols_can_do_wrong) {
    const std::string much = "\xff\xff\xff\xff\xff\xff\xff\x7f";
    for (const std::string& code : {"\x95" + much, "\x8d" + much, "\x8e" + much, "\x96" + much})
        CHECK_ERROR(unpickle("\x80\x04" + code + "."), MC_ERROR_READ, "cut off");
    CHECK_ERROR(unpickle("\x80\x04NN\x93."), MC_ERROR_READ, "not a string");
    CHECK_ERROR(unpickle("\x80\x04\x8c\x02os\x8c\x06system\x93."), MC_ERROR_READ, "asks for 'os.system'");
    CHECK_ERROR(unpickle("\x80\x04\x94."), MC_ERROR_READ, "a value is missing");
    CHECK_ERROR(unpickle("\x80\x04"
                         "0."),
                MC_ERROR_READ, "a value is missing");
    CHECK_ERROR(unpickle("\x80\x04"
                         "1."),
                MC_ERROR_READ, "a mark is missing");
    CHECK_ERROR(unpickle("\x80\x04NN"
                         "a."),
                MC_ERROR_READ, "no list");
    CHECK_ERROR(unpickle("\x80\x04N(Ne."), MC_ERROR_READ, "no list");
    CHECK_ERROR(unpickle("\x80\x04N)\x81."), MC_ERROR_READ, "cannot have objects");
    auto called = [](const std::string& name, const std::string& arguments) {
        return unpickle(PickleWriter().global("torch._utils", name).op(arguments + "R.").bytes);
    };
    CHECK_ERROR(called("_rebuild_parameter", "NNN\x87"), MC_ERROR_READ,
                "a parameter has the wrong arguments");
    CHECK_ERROR(called("_rebuild_parameter", ")"), MC_ERROR_READ, "a parameter has the wrong arguments");
    CHECK_ERROR(called("_rebuild_parameter_with_state", "N"), MC_ERROR_READ, "not a tuple");
    for (const char* arguments : {")", "(NNNNt", "(ctorch\nFloatStorage\nN)Nt"})
        CHECK_ERROR(unpickle(PickleWriter()
                                 .global("torch._tensor", "_rebuild_from_type_v2")
                                 .op(std::string(arguments) + "R.")
                                 .bytes),
                    MC_ERROR_READ, std::string(arguments) == "(NNNNt" ? "not a tuple" : "wrong arguments");
}

// Small pickles that a careless reader makes big or slow.
TEST(pth_bombs_stay_small) {
    auto recalled = [](const std::string& start, const std::string& each, size_t count) {
        std::string bytes = start + "(";
        for (size_t i = 0; i < count; i++) {
            uint32_t number = uint32_t(i);
            bytes += "\x8c\x04" + std::string(reinterpret_cast<const char*>(&number), 4) + each;
        }
        return bytes + "u.";
    };
    // A key of a storage that every one of 200000 tensors would have a copy of.
    PickleWriter key;
    key.tensor("FloatStorage", std::string(1 << 20, 'k'), 1, 0, {1}, {1})
        .op("q\x01"
            "0}");
    CHECK_ERROR(unpickle(recalled(key.bytes, "h\x01", 200000)), MC_ERROR_READ, "key is too long");
    // A dictionary of 200000 entries that lies 200000 times in another.
    std::string many = recalled("\x80\x04}", "N", 200000);
    many.pop_back();
    CHECK_ERROR(unpickle(recalled(many + "q\x01"
                                         "0}",
                                  "h\x01", 200000)),
                MC_ERROR_READ, "is not a tensor");
    // Tuples of the same tuple twice, again and again: as values 2^100000 of them.
    std::string twice = "\x80\x02)q\x01";
    for (int i = 0; i < 100000; i++) twice += "0h\x01h\x01\x86q\x01";
    CHECK_ERROR(unpickle(twice + "."), MC_ERROR_READ, "not a dictionary");
    // Nothing of an archive's pickle that is too long is read.
    CHECK_ERROR(parse(archive(std::string(5 << 20, ')'))), MC_ERROR_READ,
                "more than a dictionary of tensors needs");
}

TEST(pth_refuses_malformed_pickles) {
    CHECK_ERROR(unpickle(""), MC_ERROR_READ, "cut off");
    CHECK_ERROR(unpickle("\x80\x02"), MC_ERROR_READ, "cut off");
    CHECK_ERROR(unpickle("\x80\x02."), MC_ERROR_READ, "a value is missing");
    CHECK_ERROR(unpickle("\x80\x02(."), MC_ERROR_READ, "a value is missing");
    CHECK_ERROR(unpickle("\x80\x02N."), MC_ERROR_READ, "not a dictionary");
    CHECK_ERROR(unpickle("\x80\x02}}."), MC_ERROR_READ, "in the middle");
    CHECK_ERROR(unpickle("\x80\x02t."), MC_ERROR_READ, "a mark is missing");
    CHECK_ERROR(unpickle("\x80\x02h\x05."), MC_ERROR_READ, "never kept");
    CHECK_ERROR(unpickle("\x80\x02j\xff\xff\xff\xff."), MC_ERROR_READ, "never kept");
    CHECK_ERROR(unpickle("\x80\x02q\x01."), MC_ERROR_READ, "a value is missing");
    CHECK_ERROR(unpickle("\x80\x02}(Nu."), MC_ERROR_READ, "no dictionary");
    CHECK_ERROR(unpickle("\x80\x02NNNs."), MC_ERROR_READ, "no dictionary");
    CHECK_ERROR(unpickle("\x80\x02N}b."), MC_ERROR_READ, "no dictionary");
    CHECK_ERROR(unpickle("\x80\x02)Q."), MC_ERROR_READ, "a storage has the wrong parts");
    CHECK_ERROR(unpickle("\x80\x02NQ."), MC_ERROR_READ, "not a tuple");
    CHECK_ERROR(unpickle("\x80\x02\x8a\x09"s + "123456789."), MC_ERROR_READ, "more than 64 bits");
    CHECK_ERROR(unpickle("\x80\x02X\xff\xff\xff\x7f."), MC_ERROR_READ, "cut off");
    CHECK_ERROR(
        unpickle(
            PickleWriter().op("}").integer(3).tensor("FloatStorage", "0", 1, 0, {1}, {1}).op("s.").bytes),
        MC_ERROR_READ, "name is not a string");
    CHECK_ERROR(unpickle(PickleWriter().op("}").text("epoch").integer(3).op("s.").bytes), MC_ERROR_READ,
                "'epoch' is not a tensor");
    CHECK_ERROR(unpickle(PickleWriter().op("}").text("model").op("}").op("s.").bytes), MC_ERROR_READ,
                "'model' is not a tensor");
    CHECK_ERROR(unpickle(PickleWriter()
                             .op("}")
                             .text("w")
                             .tensor("FloatStorage", "0", 1, 0, {1}, {1})
                             .op("s")
                             .text("w")
                             .tensor("FloatStorage", "0", 1, 0, {1}, {1})
                             .op("s.")
                             .bytes),
                MC_ERROR_READ, "'w' is there twice");
    CHECK_ERROR(
        unpickle(
            PickleWriter().op("}").text("w").tensor("FloatStorage", "0", 1, 0, {-1}, {1}).op("s.").bytes),
        MC_ERROR_READ, "shape is not a number of 0 or more");
    CHECK_ERROR(unpickle(PickleWriter()
                             .op("}")
                             .text("w")
                             .tensor("FloatStorage", "0", 1, 0, std::vector<int64_t>(9, 1), {1})
                             .op("s.")
                             .bytes),
                MC_ERROR_READ, "too many dimensions");
}

TEST(pth_nesting_does_not_recurse) {
    // A tuple of a tuple of ... four million deep, and a dictionary that holds itself.
    CHECK_ERROR(unpickle("\x80\x02)"s + std::string((4 << 20) - 4, '\x85') + "."), MC_ERROR_READ,
                "not a dictionary");
    CHECK_ERROR(unpickle(PickleWriter().op("}q\x01").text("self").op("h\x01s.").bytes), MC_ERROR_READ,
                "'self' is not a tensor");
}

TEST(pth_refuses_tensors_that_do_not_fit_their_storage) {
    CHECK_EQ(parse(one_tensor("FloatStorage", 4, 0, {4}, {1}, BODY)).size(), size_t(1));
    CHECK_ERROR(parse(one_tensor("FloatStorage", 4, 1, {4}, {1}, BODY)), MC_ERROR_READ,
                "does not fit in its storage of 4");
    CHECK_ERROR(parse(one_tensor("FloatStorage", 4, 5, {0}, {1}, BODY)), MC_ERROR_READ, "does not fit");
    CHECK_ERROR(parse(one_tensor("FloatStorage", 4, 0, {int64_t(1) << 32, int64_t(1) << 32}, {1, 1}, BODY)),
                MC_ERROR_READ, "does not fit");
    CHECK_ERROR(parse(one_tensor("FloatStorage", 5, 0, {4}, {1}, BODY)), MC_ERROR_READ,
                "has 16 bytes, but should hold 5");
    CHECK_ERROR(parse(one_tensor("FloatStorage", INT64_MAX, 0, {4}, {1}, BODY)), MC_ERROR_READ,
                "has 16 bytes");
    // With strides it is the last element that counts, not how many there are.
    CHECK_EQ(bytes_of(parse(one_tensor("FloatStorage", 4, 0, {2, 2}, {1, 2}, BODY)).at("w")), "0123"
                                                                                              "89ab"
                                                                                              "4567"
                                                                                              "cdef");
    CHECK_EQ(bytes_of(parse(one_tensor("FloatStorage", 4, 3, {2}, {0}, BODY)).at("w")), "cdefcdef");
    CHECK_ERROR(parse(one_tensor("FloatStorage", 4, 0, {2, 2}, {1, 3}, BODY)), MC_ERROR_READ, "does not fit");
    CHECK_ERROR(parse(one_tensor("FloatStorage", 4, 0, {2, 2}, {INT64_MAX, INT64_MAX}, BODY)), MC_ERROR_READ,
                "does not fit");
    CHECK_ERROR(parse(one_tensor("FloatStorage", 4, 4, {1, 1}, {0, 0}, BODY)), MC_ERROR_READ, "does not fit");
    CHECK_ERROR(parse(one_tensor("FloatStorage", 4, 0, {INT64_MAX, 2}, {0, 0}, BODY)), MC_ERROR_READ,
                "does not fit");
    CHECK_ERROR(parse(one_tensor("FloatStorage", 4, 0, {4}, {1, 1}, BODY)), MC_ERROR_READ,
                "different length");
    PickleWriter pickle;
    pickle.op("}").text("w").tensor("FloatStorage", "../0", 4, 0, {4}, {1}).op("s.");
    CHECK_ERROR(parse(archive(pickle.bytes, {{"0", BODY}})), MC_ERROR_READ,
                "storage '../0', which the archive lacks");
}

TEST(pth_other_formats_are_told_apart) {
    CHECK_ERROR(parse("\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.\x80\x02M\xe9\x03."),
                MC_ERROR_READ, "PyTorch before 1.6");
    CHECK_ERROR(parse("<!DOCTYPE html>"), MC_ERROR_READ, "does not begin with 'PK'");
    CHECK_ERROR(parse("P"), MC_ERROR_READ, "'PK'");
    CHECK_ERROR(parse(std::string(257, '\0') + "ustar  root"), MC_ERROR_READ, "before 0.1.10, a tar archive");
    CHECK_ERROR(parse("\x80\x02}q\x01X\x01\0\0\0."s), MC_ERROR_READ, "a bare pickle");
    CHECK_ERROR(parse(safetensors_bytes("{}", "")), MC_ERROR_READ, "ends in .safetensors");
    CHECK_ERROR(parse("GGUF\3\0\0\0"s), MC_ERROR_READ, "is a GGUF file");
    CHECK_ERROR(parse("\x89HDF\r\n\x1a\n"), MC_ERROR_READ, "is an HDF5 file");
    CHECK_ERROR(parse("\x1f\x8b\x08"), MC_ERROR_READ, "gunzip");
    TemporaryFolder folder;
    ZipWriter zip(folder / "other.zip");
    zip.add("readme.txt", "hello");
    zip.finish();
    CHECK_ERROR(parse(read_file(folder / "other.zip")), MC_ERROR_READ, "no data.pkl");
    ZipWriter two(folder / "two.zip");
    two.add("a/data.pkl", "x"), two.add("b/data.pkl", "x");
    two.finish();
    CHECK_ERROR(parse(read_file(folder / "two.zip")), MC_ERROR_READ, "more than one data.pkl");
    ZipWriter big(folder / "big.pth");
    big.add("a/data.pkl", PickleWriter().op("}.").bytes), big.add("a/byteorder", "big");
    big.finish();
    CHECK_ERROR(parse(read_file(folder / "big.pth")), MC_ERROR_READ, "big-endian");
}

TEST(zip_refuses_what_torch_never_writes_and_what_is_damaged) {
    const std::string good = one_tensor("FloatStorage", 4, 0, {4}, {1}, BODY);
    CHECK_EQ(parse(good).size(), size_t(1));
    const std::string central("PK\x01\x02"), end("PK\x05\x06");
    size_t first = good.find(central), second = good.find(central, first + 4), last = good.find(end);
    CHECK_ERROR(parse(patched<uint16_t>(good, first + 10, 8)), MC_ERROR_READ, "compressed");
    CHECK_ERROR(parse(patched<uint32_t>(good, first + 24, 7)), MC_ERROR_READ, "compressed");
    CHECK_ERROR(parse(patched<uint16_t>(good, first + 8, 1)), MC_ERROR_READ, "encrypted");
    CHECK_ERROR(parse(patched<uint32_t>(patched<uint32_t>(good, first + 20, 1 << 20), first + 24, 1 << 20)),
                MC_ERROR_READ, "lies outside the file");
    CHECK_ERROR(parse(patched<uint32_t>(good, first + 42, 1)), MC_ERROR_READ, "not where the directory says");
    CHECK_ERROR(parse(patched<uint32_t>(good, first + 42, 0xfffffffe)), MC_ERROR_READ,
                "not where the directory says");
    CHECK_ERROR(parse(patched<uint32_t>(good, first + 42, 0xffffffff)), MC_ERROR_READ,
                "lacks its zip64 field");
    CHECK_ERROR(parse(patched<uint32_t>(good, second + 42, 0)), MC_ERROR_READ,
                "has another name in its own header");
    CHECK_ERROR(parse(patched<uint16_t>(good, first + 28, 0xffff)), MC_ERROR_READ, "cut off");
    CHECK_ERROR(parse(patched<uint16_t>(good, last + 10, 2)), MC_ERROR_READ, "does not end where it says");
    CHECK_ERROR(parse(patched<uint16_t>(good, last + 10, 500)), MC_ERROR_READ, "too short for its entries");
    CHECK_ERROR(parse(patched<uint16_t>(good, last + 10, 0xffff)), MC_ERROR_READ, "zip64 end record");
    CHECK_ERROR(parse(patched<uint16_t>(good, last + 4, 1)), MC_ERROR_READ, "one part of several");
    CHECK_ERROR(parse(patched<uint32_t>(good, last + 16, 0xfffffff0)), MC_ERROR_READ, "outside the file");
    CHECK_ERROR(parse(good.substr(0, last)), MC_ERROR_READ, "cut off");
    CHECK_ERROR(parse(replaced(good, end, "PK\x05\x07")), MC_ERROR_READ, "cut off");
    CHECK_EQ(parse(patched<uint16_t>(good, last + 20, 5) + "hello").size(), size_t(1)); // a comment

    TemporaryFolder folder;
    ZipWriter twice(folder / "twice.pth");
    twice.add("a/data.pkl", "x"), twice.add("a/data.pkl", "x");
    twice.finish();
    CHECK_ERROR(parse(read_file(folder / "twice.pth")), MC_ERROR_READ, "there twice");
    // The last entry's bytes grown over the directory's start cannot be; over the next entry they overlap.
    std::string grown = patched<uint32_t>(patched<uint32_t>(good, second + 20, 64), second + 24, 64);
    CHECK_ERROR(parse(grown), MC_ERROR_READ, "overlap");
}

TEST(zip64_entries_beyond_4_gib) {
    TemporaryFolder folder;
    const uint64_t huge = (uint64_t(5) << 30);
    PickleWriter pickle;
    pickle.ordered_dict()
        .op("(")
        .text("big")
        .tensor("ByteStorage", "0", int64_t(huge), 0, {int64_t(huge)}, {1})
        .text("after")
        .tensor("FloatStorage", "1", 4, 0, {4}, {1})
        .op("u.");
    ZipWriter zip(folder / "big.pth");
    zip.add("archive/data.pkl", pickle.bytes);
    zip.add_zeros("archive/data/0", huge);
    zip.add("archive/data/1", BODY);
    zip.finish();
    WeightFiles files = open_weight_file(folder / "big.pth");
    CHECK_EQ(files.tensors.at("big").bytes, size_t(huge));
    CHECK_EQ(bytes_of(files.tensors.at("after")), BODY);
}

TEST(pth_damage_everywhere_is_an_error_or_a_sound_result) {
    std::string small = one_tensor("FloatStorage", 4, 1, {3}, {1}, BODY);
    DamageCount count = damage_everywhere(small, parse_torch_archive);
    CHECK(count.refused > 1000);
    CHECK(count.read > 50);
}

TEST(pth_golden_file_cut_anywhere_is_an_error) {
    std::string bytes =
        read_file(source_path("tests/golden/data/weights/original/models_t5_umt5-xxl-enc-bf16.pth"));
    DamageCount count;
    for (size_t length = 0; length < bytes.size(); length += 997)
        read_damaged(bytes.substr(0, length), parse_torch_archive, count);
    CHECK_EQ(count.read, size_t(0));
    CHECK(count.refused > 100);
}
