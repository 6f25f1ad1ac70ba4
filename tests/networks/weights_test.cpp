// SPDX-License-Identifier: LGPL-2.1-or-later
// Tensors of files on a device, against their plain twin: read at once, then converted. weights_test DEVICE.
#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>
#include <c10/core/InferenceMode.h>
#include <chrono>
#include <filesystem>
#include <limits>

#include "engine/networks/weights.h"
#include "tests/check.h"
#include "tests/model/memory_file.h"
#include "tests/model/weight_writer.h"

using namespace mc;
using namespace mc::model;
namespace fs = std::filesystem;

static at::Device device = at::kCPU;

namespace {

constexpr int64_t PIECE = Weights::PIECE;
constexpr uint64_t PLACE = 13; // of the tensor in its file: aligned to nothing

// A file that remembers what was read of it, and lets something happen before a read.
class Watched final : public DataFile {
  public:
    explicit Watched(std::shared_ptr<const DataFile> file) : DataFile(file->path, file->size), file_(std::move(file)) {}
    void read(uint64_t at, void* into, size_t bytes) const override {
        reads.push_back({at, bytes});
        if (before) before(reads.size());
        file_->read(at, into, bytes);
    }
    mutable std::vector<std::pair<uint64_t, size_t>> reads;
    std::function<void(size_t read)> before;

  private:
    const std::shared_ptr<const DataFile> file_;
};

struct One final : Tensors {
    explicit One(TensorView view) { tensors_["w"] = std::move(view); }
};

TensorView view_of(DType type, const std::vector<int64_t>& shape, std::shared_ptr<const DataFile> file) {
    return {type, shape, size_t(*byte_count(type, shape)), std::move(file), PLACE, {}};
}

// With signs, zeros, infinities, and what is subnormal or too large in a narrower type.
at::Tensor numbers_of(DType type, int64_t count) {
    at::Tensor x = at::randn({count}, at::detail::createCPUGenerator(3));
    if (count > 100 && type != DType::F8_E4M3) { // which has no infinity
        const float infinity = std::numeric_limits<float>::infinity();
        x.narrow(0, 40, 8).copy_(at::tensor({0.f, -0.f, 1e-40f, -3e-7f, 1e-12f, 65519.f, infinity, -infinity}));
    }
    return x.to(type_of(type));
}

std::shared_ptr<Watched> file_of(const at::Tensor& numbers) {
    std::string bytes(PLACE, 'x');
    if (numbers.numel()) bytes.append(static_cast<const char*>(numbers.const_data_ptr()), numbers.nbytes());
    return std::make_shared<Watched>(test::MemoryFile::of("numbers", bytes));
}

at::Tensor plainly(const TensorView& view, at::ScalarType type) {
    at::Tensor stored = at::empty(view.shape, at::TensorOptions().dtype(type_of(view.dtype)));
    view.read(stored.mutable_data_ptr());
    return stored.to(type);
}

void check_same(const at::Tensor& got, const at::Tensor& want) {
    CHECK(got.device() == device && got.scalar_type() == want.scalar_type() && got.sizes() == want.sizes());
    const at::Tensor here = got.cpu();
    CHECK(here.is_contiguous() && want.is_contiguous());
    CHECK(want.numel() == 0 || std::memcmp(here.const_data_ptr(), want.const_data_ptr(), want.nbytes()) == 0);
}

} // namespace

TEST(any_size_and_type_is_as_its_plain_twin) {
    for (const DType stored : {DType::F32, DType::F16, DType::BF16, DType::F8_E4M3}) {
        const int64_t piece = PIECE / int64_t(size_of(stored));
        const at::Tensor numbers = numbers_of(stored, 2 * piece + 1);
        const auto file = file_of(numbers);
        for (const std::vector<int64_t>& shape : std::vector<std::vector<int64_t>>{
                 {}, {0}, {3, 0, 5}, {1}, {3}, {5, 7, 11}, {4097}, {piece - 1}, {piece}, {2 * piece + 1}})
            for (const at::ScalarType type : {at::kFloat, at::kBFloat16, type_of(stored)}) {
                const TensorView view = view_of(stored, shape, file);
                const at::Tensor want = plainly(view, type);
                file->reads.clear();
                size_t loaded = 0;
                check_same(Weights(One(view), device, {}, [&](size_t bytes) { loaded += bytes; }).get("w", shape, type),
                           want);
                CHECK_EQ(loaded, view.bytes);
                // Every byte once, in order; pieces, but for what is read to where it stays.
                const size_t most = device.is_cpu() && type == type_of(stored) ? SIZE_MAX : PIECE;
                uint64_t at = PLACE;
                for (const auto& [begin, bytes] : file->reads) {
                    CHECK_EQ(begin, at);
                    CHECK(bytes == std::min<uint64_t>(most, PLACE + view.bytes - at));
                    at += bytes;
                }
                CHECK_EQ(at, PLACE + view.bytes);
            }
    }
}

TEST(one_with_strides_is_gathered_once) {
    const std::vector<int64_t> shape{2051, 2053}; // more than a piece
    const at::Tensor numbers = numbers_of(DType::F32, shape[0] * shape[1]);
    const auto file = file_of(numbers);
    TensorView view = view_of(DType::F32, shape, file);
    view.stride = {1, shape[0]};
    for (const at::ScalarType type : {at::kFloat, at::kBFloat16}) {
        file->reads.clear();
        const at::Tensor got = Weights(One(view), device).get("w", shape, type);
        size_t read = 0;
        for (const auto& [begin, bytes] : file->reads) read += bytes;
        CHECK_EQ(read, view.bytes);
        check_same(got, numbers.view({shape[1], shape[0]}).t().contiguous().to(type));
    }
}

// On disk, three pieces of float32: what happens before the second read is an error, and nothing counts as loaded.
static void check_fails_midway(const std::function<void(const std::string& path)>& happens, McStatus status,
                               const char* text, const McCancel* token = nullptr) {
    const test::TemporaryFolder folder;
    const std::string path = folder / "w";
    test::write_file(path, "x");
    fs::resize_file(path, PLACE + 3 * PIECE);
    const auto file = std::make_shared<Watched>(DataFile::open(path));
    file->before = [&](size_t read) {
        if (read == 2) happens(path);
    };
    const std::vector<int64_t> shape{3 * PIECE / 4};
    size_t loaded = 0;
    const One tensors(view_of(DType::F32, shape, file));
    const Weights weights(tensors, device, token, [&](size_t bytes) { loaded += bytes; });
    CHECK_ERROR(weights.get("w", shape, at::kBFloat16), status, text);
    CHECK_EQ(file->reads.size(), size_t(2));
    CHECK_EQ(loaded, size_t(0));
}

TEST(a_file_that_changes_between_two_pieces_is_an_error) {
    check_fails_midway([](const std::string& path) { fs::resize_file(path, PLACE + PIECE + PIECE / 2); },
                       MC_ERROR_READ, "became shorter while it was read");
    check_fails_midway([](const std::string& path) { fs::resize_file(path, PLACE + PIECE); }, MC_ERROR_READ,
                       "became shorter while it was read");
    const auto hour_ago = fs::file_time_type::clock::now() - std::chrono::hours(1);
    check_fails_midway([&](const std::string& path) { fs::last_write_time(path, hour_ago); }, MC_ERROR_READ,
                       "was written to while it was read");
}

// Read to where it stays, the file may end within that one read.
TEST(a_file_that_is_cut_off_is_an_error_in_its_own_type_too) {
    const test::TemporaryFolder folder;
    const std::string path = folder / "w";
    test::write_file(path, "x");
    fs::resize_file(path, PLACE + 3 * PIECE);
    const std::vector<int64_t> shape{3 * PIECE / 4};
    const One tensors(view_of(DType::F32, shape, DataFile::open(path)));
    const Weights weights(tensors, device);
    CHECK(weights.get("w", shape, at::kFloat).count_nonzero().item<int64_t>() == 0);
    fs::resize_file(path, PLACE + 2 * PIECE + 1);
    CHECK_ERROR(weights.get("w", shape, at::kFloat), MC_ERROR_READ, "became shorter while it was read");
}

TEST(cancelling_takes_effect_between_two_pieces) {
    McCancel token;
    const auto cancels_after_the_second = [&](const std::string&) { token.set = true; };
    check_fails_midway(cancels_after_the_second, MC_CANCELLED, "", &token);
}

int main(int argc, char** argv) {
    device = at::Device(argv[1]);
    const c10::InferenceMode inference;
    return test::run_tests(argc - 1, argv + 1);
}
