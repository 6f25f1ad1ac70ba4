// SPDX-License-Identifier: LGPL-2.1-or-later
// Frames that stay on a device until they are written: the same bytes as from the CPU, converted over there for all
// frames of a chunk at once, by whatever thread asks.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <c10/core/InferenceMode.h>
#include <thread>

#include "engine/device.h"
#include "engine/error.h"
#include "engine/session/pictures.h"
#include "tests/check.h"
#include "tests/fake/fake_device.h"

using namespace mc;
using session::Pictures;
using Format = Pictures::Format;

namespace {

constexpr int64_t FRAMES = 3, HEIGHT = 10, WIDTH = 34;
constexpr size_t GAP = 7; // behind each row

at::Tensor pixels() {
    at::Tensor x = at::randn({3, FRAMES, HEIGHT, WIDTH}, at::make_generator<at::CPUGeneratorImpl>(3));
    x[0][1][2][3] = NAN, x[1][2][0][1] = INFINITY;
    return x;
}

// What is written, gaps included.
std::vector<uint8_t> bytes_of(const Pictures& pictures, int64_t index, Format format, bool black = false) {
    const size_t chroma = format == Format::NV12 ? WIDTH : WIDTH / 2,
                 strides[3] = {(format == Format::RGB ? 3 * WIDTH : WIDTH) + GAP, chroma + GAP, chroma + GAP};
    std::vector<uint8_t> bytes(strides[0] * HEIGHT + 2 * strides[1] * HEIGHT / 2, 0xee);
    uint8_t* const planes[3] = {bytes.data(), bytes.data() + strides[0] * HEIGHT,
                                bytes.data() + strides[0] * HEIGHT + strides[1] * HEIGHT / 2};
    black ? pictures.write_black(format, planes, strides) : pictures.write(index, format, planes, strides);
    return bytes;
}

} // namespace

TEST(the_same_bytes_from_a_device) {
    for (bool kernels : {true, false}) {
        fake::use_kernels(kernels);
        const Pictures here(pixels()), there(pixels().to(fake::device()));
        CHECK_EQ(there.count(), FRAMES);
        const int64_t waits = fake::counts.waits;
        int formats = 0;
        for (Format format : {Format::I420, Format::NV12, Format::RGB}) {
            formats++;
            for (int64_t i = FRAMES; i-- > 0;) CHECK(bytes_of(there, i, format) == bytes_of(here, i, format));
            CHECK_EQ(fake::counts.waits - waits, kernels ? formats : 1);
        }
    }
    fake::use_kernels(true);
}

TEST(any_thread_writes) {
    const Pictures here(pixels()), there(pixels().to(fake::device(1)));
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; i++)
        threads.emplace_back([&, i] {
            const Format format = i % 2 ? Format::NV12 : Format::I420;
            for (int64_t f = 0; f < FRAMES; f++)
                CHECK(bytes_of(there, f, format) == bytes_of(here, f, format));
        });
    for (std::thread& t : threads) t.join();
    CHECK_EQ(fake::counts.races.load(), 0);
}

TEST(a_lost_device_leaves_black) {
    const Pictures there(pixels().to(fake::device())), black(at::full({3, FRAMES, HEIGHT, WIDTH}, -1.f));
    fake::fail(fake::Failure::LOST, 0);
    CHECK_ERROR(there.prepare(Format::I420), MC_ERROR_DEVICE, "failed in the middle of its work");
    CHECK_ERROR(bytes_of(there, 0, Format::I420), MC_ERROR_DEVICE, "failed in the middle of its work");
    for (Format format : {Format::I420, Format::NV12, Format::RGB})
        CHECK(bytes_of(there, 0, format, true) == bytes_of(black, 0, format));
    fake::fail(fake::Failure::NONE, 0);
}

// What was prepared needs the device no more.
TEST(what_is_prepared_survives_the_device) {
    const Pictures here(pixels()), there(pixels().to(fake::device()));
    there.prepare(Format::NV12);
    fake::fail(fake::Failure::LOST, 0);
    CHECK(bytes_of(there, 1, Format::NV12) == bytes_of(here, 1, Format::NV12));
    fake::fail(fake::Failure::NONE, 0);
}

// As an encoder on the same device takes them: rows wherever it put them, and nothing comes to the host.
TEST(written_to_memory_of_the_device) {
    const Pictures here(pixels()), there(pixels().to(fake::device(1)));
    CHECK(!here.device());
    CHECK(there.device() == fake::device(1));
    constexpr int64_t ROW = WIDTH + GAP, BYTES = ROW * (HEIGHT + HEIGHT / 2);
    for (int64_t i = 0; i < FRAMES; i++) {
        const at::Tensor to = at::full({BYTES}, 0xee, at::TensorOptions().dtype(at::kByte).device(fake::device(1)));
        mc::wait_for(fake::device(1));
        const int64_t waits = fake::counts.waits, downloads = fake::counts.downloads;
        uint8_t* const at = to.mutable_data_ptr<uint8_t>();
        uint8_t* const planes[3] = {at, at + ROW * HEIGHT, nullptr};
        const size_t strides[3] = {ROW, ROW, 0};
        there.write_there(i, Format::NV12, planes, strides);
        CHECK_EQ(fake::counts.waits - waits, 1);
        CHECK_EQ(fake::counts.downloads.load(), downloads);
        const at::Tensor bytes = to.cpu();
        const auto* begin = bytes.const_data_ptr<uint8_t>();
        std::vector<uint8_t> expected = bytes_of(here, i, Format::NV12);
        expected.resize(BYTES); // the room of a third plane
        CHECK(std::vector<uint8_t>(begin, begin + BYTES) == expected);
    }
    CHECK_EQ(fake::counts.races.load(), 0);
}

TEST(a_lost_device_is_told_when_it_writes) {
    const Pictures there(pixels().to(fake::device()));
    const at::Tensor to = at::zeros({3 * WIDTH * HEIGHT}, at::TensorOptions().dtype(at::kByte).device(fake::device()));
    uint8_t* const planes[3] = {to.mutable_data_ptr<uint8_t>()};
    const size_t strides[3] = {3 * WIDTH};
    fake::fail(fake::Failure::LOST, 0);
    CHECK_ERROR(there.prepare(Format::NV12), MC_ERROR_DEVICE, "failed in the middle of its work");
    CHECK_ERROR(there.write_there(0, Format::RGB, planes, strides), MC_ERROR_DEVICE,
                "failed in the middle of its work");
    fake::fail(fake::Failure::NONE, 0);
}

// Without kernels of this program its memory is not written there, but read and converted here.
TEST(a_device_without_kernels_writes_nothing) {
    fake::use_kernels(false);
    CHECK(!Pictures(pixels().to(fake::device())).device());
    fake::use_kernels(true);
}

int main(int argc, char** argv) {
    const c10::InferenceMode inference;
    at::set_num_threads(1);
    return test::run_tests(argc, argv);
}
