// SPDX-License-Identifier: LGPL-2.1-or-later
// Two processes with a device and a guidance branch each: the same video as from one, and where the worker's device is
// short of memory, its layers go to its host, or one error says so.
//   fake_streamed_ranks_test SOURCE_ROOT [TEST...]
#include <ATen/ATen.h>

#include "engine/families/skyreels_v2/inputs.h"
#include "engine/own_stream.h"
#include "engine/ranks/group.h"
#include "tests/fake/fake_device.h"
#include "tests/ranks/processes.h"
#include "tests/session/demo.h"
#include "tests/session/variants.h"

using namespace mc;
using namespace mc::session;
using test::video;
using test::Worker;

namespace {

using Model = std::shared_ptr<const skyreels_v2::Model>;

LoadOptions options() {
    LoadOptions o;
    o.opened = fake::device(), o.threads = 1, o.precision = Precision::BFLOAT16;
    return o;
}

// What a worker's process does, with a device of so many bytes.
int work(size_t capacity) {
    fake::set_capacity(capacity);
    LoadOptions o = options();
    o.log = [](int level, const std::string& text) { std::fprintf(stderr, "%d %s\n", level, text.c_str()); };
    ranks::Group group(*ranks::membership_of_environment(), ranks::version());
    run_worker(group, "", o);
    std::fprintf(stderr, "%zu bytes at most, %lld races\n", fake::use().most, (long long)fake::counts.races.load());
    return 0;
}

struct Together {
    const int port = test::free_port();
    Worker worker;
    std::shared_ptr<ranks::Group> group;
    Model model;
    explicit Together(int64_t capacity = int64_t(fake::ALL)) : worker(port, {"--work", std::to_string(capacity)}) {
        group = test::meet(port);
        LoadOptions o = options();
        o.group = group;
        model = skyreels_v2::Model::open(test::root + "/models/demo", o);
    }
    // The worker's last words.
    std::string end() {
        model.reset(), group.reset();
        CHECK_EQ(worker.wait(), 0);
        const std::string said = worker.said();
        CHECK(said.find(" 0 races") != std::string::npos);
        return said;
    }
};

Request request() {
    for (const test::Variant& v : test::variants())
        if (v.name == std::string("taylor")) return v.request;
    return {};
}

double psnr(const at::Tensor& a, const at::Tensor& b) {
    return 10 * std::log10(4 / ((a - b).square().mean().item<double>() + 1e-20));
}

bool has(const std::string& text, const std::string& part) {
    if (text.find(part) != std::string::npos) return true;
    std::fprintf(stderr, "     not in: %s\n", text.c_str());
    return false;
}

} // namespace

TEST(a_worker_streams_its_layers_where_its_device_is_short) {
    const Model alone = skyreels_v2::Model::open(test::root + "/models/demo", options());
    Request r = request();
    r.width = 96, r.height = 64;
    const at::Tensor one = video(alone, r);

    // What the worker holds: the transformer, and of this video's window its branch.
    const auto settings = skyreels_v2::complete(r, *alone);
    const auto windows = skyreels_v2::plan_windows(settings, skyreels_v2::inputs_of(r).grid, {});
    const auto shape = skyreels_v2::shape_of(settings, windows, 0, 64 / 8, 96 / 8);
    const auto& config = alone->transformer_config;
    const int64_t need = wan_dit::Window::bytes(config, Precision::BFLOAT16, fake::device(), shape,
                                                    wan_dit::spread_over({2}, 2, config.heads), 1)
                                 .total() +
                             workspace_bytes(fake::device()),
                  weights = alone->transformer->bytes();
    const auto layer = wan_dit::Transformer::layer_bytes(config, Precision::BFLOAT16, false);
    const int64_t most = config.layers * layer.total() - 2 * layer.forward; // that streaming gives
    // With room for just that, what products keep of one video is no more that the next one needs.
    Together resident(weights + need + int64_t(fake::WORKSPACE) / 2);
    const at::Tensor want = video(resident.model, r);
    CHECK(psnr(want, one) > 30); // products of other sizes, in bfloat16
    CHECK(at::equal(video(resident.model, r), want));
    const std::string said = resident.end();
    CHECK(said.find("stay in the computer's memory") == std::string::npos);

    const struct {
        const char* what;
        int64_t capacity;
    } ways[] = {{"a video's need", weights + need - layer.forward / 2},
                {"half of the layers", weights + need - most / 2},
                {"all layers", weights + need - most + layer.forward * 3 / 4}};
    for (const auto& way : ways) {
        Together streamed(way.capacity);
        for (int run = 0; run < 2; run++) CHECK(at::equal(video(streamed.model, r), want));
        CHECK_EQ(streamed.model->transformer->streamed(), 0); // rank 0's device has room
        const std::string told = streamed.end();
        CHECK(has(told, "layers, ") && has(told, "stay in the computer's memory"));
        CHECK(has(told, " bytes at most"));
        const size_t line = told.rfind('\n', told.rfind(" bytes at most"));
        const int64_t taken = std::atoll(told.c_str() + line + 1);
        std::printf("     %-24s %.2f MB at most of %.2f there\n", way.what, taken / 1e6, way.capacity / 1e6);
        CHECK(taken > 0 && taken <= way.capacity);
    }
}

// Before the first step, with both numbers and settings that fit, taken at their word; the ranks stay at work.
TEST(a_worker_that_is_too_small_is_one_error) {
    const Model alone = skyreels_v2::Model::open(test::root + "/models/demo", options());
    Request r = request();
    r.width = 192, r.height = 128;
    const auto settings = skyreels_v2::complete(r, *alone);
    const auto windows = skyreels_v2::plan_windows(settings, skyreels_v2::inputs_of(r).grid, {});
    const auto shape = skyreels_v2::shape_of(settings, windows, 0, 128 / 8, 192 / 8);
    const auto& config = alone->transformer_config;
    const int64_t need = wan_dit::Window::bytes(config, Precision::BFLOAT16, fake::device(), shape,
                                                    wan_dit::spread_over({2}, 2, config.heads), 1)
                             .total();
    const auto layer = wan_dit::Transformer::layer_bytes(config, Precision::BFLOAT16, false);
    Together small(alone->transformer->bytes() - config.layers * layer.total() + 2 * layer.forward + need / 2);
    try {
        Session s(small.model, r);
        test::fail(__FILE__, __LINE__, "it was not refused");
    } catch (const Error& e) {
        const std::string text = e.what();
        std::printf("     %s\n", text.c_str());
        CHECK_EQ(int(e.status), int(MC_ERROR_MEMORY));
        CHECK(has(text, "rank 1 (") && has(text, "): This request needs ") && has(text, " GiB of fake:0's memory but "));
        int width = 0, height = 0;
        const size_t at = text.find("width=");
        CHECK(at != std::string::npos);
        if (at != std::string::npos) {
            CHECK_EQ(std::sscanf(text.substr(at).c_str(), "width=%d height=%d", &width, &height), 2);
            r.width = width, r.height = height;
            CHECK(psnr(video(small.model, r), video(alone, r)) > 25);
        }
    }
    CHECK(has(small.end(), "stay in the computer's memory"));

    // Not even the transformer with all layers on the host: told by who opens the model.
    McStatus status{};
    std::string said;
    try {
        Together tiny(layer.forward);
    } catch (const Error& e) {
        status = e.status, said = e.what();
    }
    CHECK_EQ(int(status), int(MC_ERROR_MEMORY));
    CHECK(has(said, "rank 1 (") && has(said, "The model needs ") && has(said, " of fake:0's memory but "));
}

int main(int argc, char** argv) {
    if (argc > 2 && std::string(argv[1]) == "--work") {
        try {
            return work(std::strtoull(argv[2], nullptr, 10));
        } catch (const std::exception& e) {
            std::fprintf(stderr, "%s\n", e.what());
            return 1;
        }
    }
    test::root = argv[1];
    test::worker_program = "/proc/self/exe";
    return test::run_tests(argc - 1, argv + 1);
}
