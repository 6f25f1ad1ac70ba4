// SPDX-License-Identifier: LGPL-2.1-or-later
// MAGI-1 on a device against the same on the CPU: videos of every kind, what they take of memory, what fails half-way.
#include <ATen/ATen.h>
#include <c10/core/CachingDeviceAllocator.h>

#include "engine/families/magi1/model.h"
#include "engine/session/session.h"
#include "tests/fake/each_place.h"
#include "tests/fake/fake_device.h"
#include "tests/model/small_magi1.h"

// GCC 12 takes the members of an empty optional for ones that are read.
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"

using namespace mc;
using namespace mc::session;

namespace {

using Model = std::shared_ptr<const magi1::Model>;

// Written once.
struct Folders {
    test::TemporaryFolder folder;
    const std::string distilled = test::write_small_magi1(folder / "distilled"),
                      guided = test::write_small_magi1(folder / "guided", {.distilled = false}),
                      unbounded = test::write_small_magi1(folder / "unbounded", {.noise2clean = {}}),
                      large = test::write_small_magi1(folder / "large", {.large = true}),
                      eight_bits = test::write_small_magi1(folder / "eight_bits", {.fp8 = true});
};
const Folders& folders() {
    static const Folders all;
    return all;
}

LoadOptions options(at::Device device, Precision precision) {
    LoadOptions o;
    o.opened = device;
    o.threads = 1;
    o.precision = precision;
    return o;
}
Model load(const std::string& config, at::Device device, Precision precision = Precision::FLOAT32) {
    return magi1::Model::open(config, options(device, precision));
}

[[gnu::noinline]] Request small() {
    Request r;
    r.prompt.emplace("a red ball bouncing over green hills");
    r.seed = 5, r.width = 48, r.height = 32, r.num_frames = 48;
    r.cache.kind = CacheKind::NONE;
    return r;
}

sampler::Image image() {
    return {48, 32, std::vector<uint8_t>(48 * 32 * 3, 90)};
}

struct Variant {
    const char* name;
    const std::string& config;
    Request request;
};
std::vector<Variant> variants() {
    std::vector<Variant> list;
    const Folders& f = folders();
    const auto add = [&](const char* name, const std::string& config, auto change) {
        Request r = small();
        change(r);
        list.push_back({name, config, std::move(r)});
    };
    const auto nothing = [](Request&) {};
    add("distilled", f.distilled, nothing);
    add("guided", f.guided, nothing);
    add("gated, as 24B", f.large, nothing);
    add("eight bits", f.eight_bits, nothing);
    for (auto [name, kind] : {std::pair("teacache", CacheKind::TEACACHE),
                              {"flowcache", CacheKind::FLOWCACHE},
                              {"motioncache", CacheKind::MOTIONCACHE}})
        add(name, f.distilled, [kind = kind](Request& r) {
            r.steps = 16, r.cache.kind = kind, r.cache.threshold = 0.02, r.cache.warmup = 2;
            if (kind != CacheKind::MOTIONCACHE) return;
            // So that some tokens of a chunk are computed without the others.
            r.image = image(), r.steps = 32, r.cache.threshold = 0.004, r.cache.weight_floor = 0;
        });
    add("image", f.guided, [](Request& r) { r.image = image(); });
    add("prefix", f.distilled, [](Request& r) {
        r.prefix_video.emplace();
        for (int i = 0; i < 32; i++)
            r.prefix_video->frames.push_back({48, 32, std::vector<uint8_t>(48 * 32 * 3, uint8_t(5 * i))});
    });
    add("compressed keys", f.unbounded, [](Request& r) { r.num_frames = 24 * 6, r.kv_budget = 1; });
    return list;
}

at::Tensor video(const Model& model, const Request& request, Stats* stats = nullptr) {
    Session s(model, request);
    std::vector<at::Tensor> pieces;
    while (auto frames = s.next()) pieces.push_back(frames->pixels.clone());
    if (stats) *stats = s.stats();
    return at::cat(pieces, 1);
}

double psnr(const at::Tensor& a, const at::Tensor& b) {
    return 10 * std::log10(4 / ((a - b).square().mean().item<double>() + 1e-20));
}

} // namespace

TEST(every_kind_of_video) {
    std::map<std::string, std::array<Model, 3>> models;
    for (const auto& [name, config, request] : variants()) {
        auto& [cpu, fine, coarse] = models[config];
        if (!cpu)
            cpu = load(config, at::kCPU), fine = load(config, fake::device()),
            coarse = load(config, fake::device(), Precision::BFLOAT16);
        const at::Tensor want = video(cpu, request);
        Stats stats;
        const double exact = psnr(video(fine, request, &stats), want), rounded = psnr(video(coarse, request), want);
        if (request.cache.kind != CacheKind::NONE) CHECK(stats.count.tokens_reused > 0);
        if (request.cache.kind == CacheKind::MOTIONCACHE) CHECK(stats.count.partial > 0);
        std::printf("     %-20s float32 %6.1f dB to the CPU, bfloat16 %5.1f dB\n", name, exact, rounded);
        std::fflush(stdout);
        // Rounded to eight bits, what differs in the last bit of float32 may differ in one of eight.
        if (!(exact > (config == folders().eight_bits ? 40 : 100))) test::fail(name, 0, "in float32");
        if (!(rounded > 32)) test::fail(name, 0, "in bfloat16");
    }
    CHECK_EQ(fake::counts.races.load(), 0);
    CHECK(fake::counts.attention > 0);
}

// Never more than planned, and not so little that videos which would fit are refused; and as it was told without a
// weight read.
TEST(what_is_planned_is_what_is_taken) {
    for (Precision precision : {Precision::FLOAT32, Precision::BFLOAT16})
        for (const auto& [name, config, request] : variants()) {
            const std::string kind = name;
            if (kind == "teacache" || kind == "flowcache") continue;
            Request r = request;
            if (kind != "motioncache") r.steps = 8;
            r.width = 96, r.height = 64;
            const session::MemoryForecast told =
                session::forecast_memory(config, options(fake::device(), precision), r);
            const auto empty = int64_t(fake::use().used);
            const Model model = load(config, fake::device(), precision);
            const auto before = int64_t(fake::use().used);
            fake::forget_most();
            Stats stats;
            video(model, r, &stats);
            const int64_t planned = stats.bytes_planned - stats.bytes_weights,
                          taken = int64_t(fake::use().most) - before;
            std::printf("     %-20s %s: %6.1f MB planned (keys and values %.1f, cache %.1f, activations %.1f, VAE %.1f), "
                        "%6.1f MB taken\n",
                        name, name_of(precision), planned / 1e6, told.keys_values / 1e6, told.cache / 1e6,
                        told.activations / 1e6, told.vae / 1e6, taken / 1e6);
            if (!(taken <= planned)) test::fail(name, 0, "more was taken than planned");
            // The rest is for other sizes: the VAE's pixels in oneDNN's blocks, the scores that choose keys.
            if (!(told.activations < 3 * taken)) test::fail(name, 0, "much more was planned than taken");
            CHECK_EQ(planned, told.total - told.weights());
            CHECK(std::abs(before - empty - told.weights()) < told.weights() / 10);
        }
}

// Where ATen takes cuDNN's attention: once the shapes of whole chunks have come by, tokens that a cache picks ask for
// no plan.
TEST(tokens_picked_make_no_plans) {
    for (const auto& [name, config, request] : variants()) {
        if (name != std::string("motioncache")) continue;
        const Model model = load(config, fake::device(), Precision::BFLOAT16);
        fake::prefer_cudnn(true);
        Request r = request;
        const int64_t before = fake::counts.plans;
        video(model, r);
        const int64_t first = fake::counts.plans - before;
        CHECK(first > 0 && first < 20);
        Stats stats;
        r.seed = 6;
        video(model, r, &stats);
        fake::prefer_cudnn(false);
        CHECK(stats.count.partial > 0);
        CHECK_EQ(fake::counts.plans - before - first, 0);
    }
}

TEST(memory_goes_with_the_model) {
    c10::getDeviceAllocator(fake::device().type())->emptyCache();
    const size_t before = fake::use().reserved;
    Model model = load(folders().distilled, fake::device(), Precision::BFLOAT16);
    CHECK(fake::use().used > before);
    video(model, small());
    model.reset();
    CHECK_EQ(fake::use().used, before);
    CHECK_EQ(fake::use().reserved, before);
}

// Every place in turn that allocates, as it is first come by: one error, nothing stays held, and the model can be used
// again.
TEST(memory_that_ends_anywhere_is_one_error) {
    size_t all = 0;
    Model model;
    const auto open = [&] { model = load(folders().distilled, fake::device(), Precision::BFLOAT16); };
    all += fake::each_place_fails("loading", [&] { model.reset(), open(), model.reset(); }).all;
    open();
    for (const Variant& v : variants())
        if (v.name == std::string("motioncache")) {
            Request r = v.request;
            r.num_frames = 24, r.steps = 8, r.height = 32, r.width = 32;
            r.image = sampler::Image{32, 32, std::vector<uint8_t>(32 * 32 * 3, 90)};
            all += fake::each_place_fails("video", [&] { video(model, r); }).all;
        }
    CHECK(all > 150);
    CHECK_EQ(fake::counts.races.load(), 0);
}

TEST(a_lost_device_is_one_error) {
    const Model model = load(folders().distilled, fake::device());
    for (int64_t after : {0, 20, 400, 2000}) {
        fake::fail(fake::Failure::LOST, after);
        CHECK_ERROR(video(model, small()), MC_ERROR_DEVICE, "failed in the middle of its work");
    }
    fake::fail(fake::Failure::LOST, 3);
    CHECK_ERROR(load(folders().distilled, fake::device()), MC_ERROR_DEVICE, "device=cpu");
    fake::fail(fake::Failure::NONE, 0);
    CHECK_EQ(video(model, small()).size(1), 48);
}

int main(int argc, char** argv) {
    return test::run_tests(argc, argv);
}
