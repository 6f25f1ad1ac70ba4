// SPDX-License-Identifier: LGPL-2.1-or-later
// .pth files as PyTorch itself wrote them (make_torch_files.py).
#include "engine/error.h"
#include "engine/model/fingerprint.h"
#include "engine/model/weight_files.h"
#include "tests/check.h"
#include "tests/model/memory_file.h"
#include "tests/model/published.h"

using namespace mc;
using namespace mc::model;
using namespace mc::test;

namespace {

WeightFiles torch_file(const std::string& name) {
    return open_weight_file(source_path("tests/model/torch_files/" + name + ".pth"));
}

template <class T>
std::vector<T> numbers(const TensorView& view) {
    CHECK_EQ(view.bytes % sizeof(T), size_t(0));
    std::vector<T> list(view.bytes / sizeof(T));
    view.read(list.data());
    return list;
}
using Floats = std::vector<float>;
using Shape = std::vector<int64_t>;

// What Module of make_torch_files.py holds.
bool is_module(const TensorMap& tensors) {
    return tensors.size() == 2 && tensors.at("line.weight").shape == Shape{1, 2} &&
           numbers<float>(tensors.at("line.weight")) == Floats{1, 2} &&
           numbers<float>(tensors.at("line.bias")) == Floats{3};
}

} // namespace

TEST(torch_files_of_every_protocol) {
    for (const char* name : {"protocol2", "protocol3", "protocol4", "protocol5"}) {
        const WeightFiles file = torch_file(name);
        const TensorMap& t = file.tensors;
        CHECK_EQ(t.size(), size_t(16));
        CHECK(t.at("plain").shape == (Shape{2, 3}));
        CHECK(numbers<float>(t.at("plain")) == (Floats{0, 1, 2, 3, 4, 5}));
        CHECK(t.at("turned").shape == (Shape{3, 2}));
        CHECK(numbers<float>(t.at("turned")) == (Floats{0, 3, 1, 4, 2, 5}));
        CHECK(numbers<float>(t.at("middle")) == (Floats{3, 4, 5, 6}));
        CHECK(numbers<float>(t.at("steps")) == (Floats{1, 4, 7, 10}));
        CHECK(t.at("columns").shape == (Shape{3, 2, 2}));
        CHECK(numbers<float>(t.at("columns")) == (Floats{0, 3, 6, 9, 1, 4, 7, 10, 2, 5, 8, 11}));
        CHECK(numbers<float>(t.at("wide")) == (Floats{7, 7, 7}));
        CHECK(t.at("empty").shape == (Shape{0, 4}) && t.at("empty").bytes == 0);
        CHECK(t.at("scalar").shape.empty() && numbers<double>(t.at("scalar")) == std::vector<double>{5});
        CHECK(t.at("bfloat16").dtype == DType::BF16);
        CHECK(numbers<uint16_t>(t.at("bfloat16")) == (std::vector<uint16_t>{0x3f80, 0xc000}));
        CHECK(t.at("half").dtype == DType::F16);
        CHECK(numbers<uint16_t>(t.at("half")) == (std::vector<uint16_t>{0x3c00, 0xc000}));
        CHECK(numbers<int64_t>(t.at("int64")) == (std::vector<int64_t>{1, 2, 3}));
        CHECK(numbers<int32_t>(t.at("int32")) == (std::vector<int32_t>{1, 2, 3}));
        CHECK(numbers<int16_t>(t.at("int16")) == (std::vector<int16_t>{1, 2, 3}));
        CHECK(numbers<int8_t>(t.at("int8")) == (std::vector<int8_t>{1, 2, 3}));
        CHECK(numbers<uint8_t>(t.at("uint8")) == (std::vector<uint8_t>{1, 2, 3}));
        CHECK(numbers<uint8_t>(t.at("bool")) == (std::vector<uint8_t>{1, 0}));
    }
}

TEST(torch_files_of_parameters_and_of_what_lies_beside_weights) {
    for (const char* name : {"module", "parameters", "parameters_with_state", "tensor_with_state",
                             "checkpoint2", "checkpoint5", "model", "other_name"})
        CHECK(is_module(torch_file(name).tensors));
    CHECK_ERROR(torch_file("two"), MC_ERROR_READ,
                "holds two dictionaries of tensors ('generator', 'discriminator')");
}

TEST(torch_files_that_are_no_weights_are_told_by_name) {
    CHECK_ERROR(torch_file("whole_module"), MC_ERROR_READ, "asks for 'torch.nn.modules.linear.Linear'");
    CHECK_ERROR(torch_file("whole_module"), MC_ERROR_READ, "a plain state_dict");
    CHECK_ERROR(torch_file("script"), MC_ERROR_READ, "is a TorchScript archive");
    CHECK_ERROR(torch_file("script"), MC_ERROR_READ, "save its state_dict() with torch.save");
    CHECK_ERROR(torch_file("before_1_6"), MC_ERROR_READ, "PyTorch before 1.6");
    CHECK_ERROR(torch_file("before_1_6"), MC_ERROR_READ, "save its state_dict again with torch.save");
}

// Strides wider than what is read at once, in both directions.
TEST(large_tensors_with_strides) {
    const int64_t rows = 700, columns = 900;
    std::string bytes(size_t(rows * columns) * 4, '\0');
    auto* values = reinterpret_cast<uint32_t*>(bytes.data());
    for (int64_t i = 0; i < rows * columns; i++) values[i] = uint32_t(i);
    const auto file = MemoryFile::of("large", bytes);
    auto check = [&](std::vector<int64_t> shape, std::vector<int64_t> stride, int64_t offset) {
        TensorView view{DType::I32,           shape, *byte_count(DType::I32, shape), file,
                        uint64_t(offset) * 4, stride};
        const auto read = numbers<uint32_t>(view);
        size_t at = 0, wrong = 0;
        for (int64_t a = 0; a < shape[0]; a++)
            for (int64_t b = 0; b < shape[1]; b++)
                for (int64_t c = 0; c < shape[2]; c++)
                    wrong += read[at++] != uint32_t(offset + a * stride[0] + b * stride[1] + c * stride[2]);
        CHECK_EQ(wrong, size_t(0));
        // A part is a part of the whole.
        std::vector<uint32_t> part(5);
        view.read(40, part.data(), 20);
        CHECK(std::equal(part.begin(), part.end(), read.begin() + 10));
    };
    check({1, columns, rows}, {1, 1, columns}, 0); // transposed
    check({2, 3, 300}, {350 * columns, 299, 3}, 1);
    check({columns, 1, rows / 2}, {1, 5, 2 * columns}, 0);
    check({3, 2, 10}, {0, 500 * columns, 7}, 11); // expanded
    check({1, 2, 8}, {0, (rows - 1) * columns, 1}, 0);
}

TEST(fingerprint_is_that_of_the_numbers_whatever_their_strides) {
    struct Named : Tensors {
        Named(const TensorView& view) { tensors_["w"] = view; }
    };
    const std::string values = "aAbBcC";
    TensorView turned{DType::U8, {2, 3}, 6, MemoryFile::of("turned", values), 0, {1, 2}};
    TensorView plain{DType::U8, {2, 3}, 6, MemoryFile::of("plain", "abcABC"), 0, {}};
    CHECK_EQ(fingerprint(Named(turned)), fingerprint(Named(plain)));
    plain.file = MemoryFile::of("other", "abcABD");
    CHECK(fingerprint(Named(turned)) != fingerprint(Named(plain)));
}
