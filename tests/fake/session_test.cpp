// SPDX-License-Identifier: LGPL-2.1-or-later
// Whole sessions on a device against the same on the CPU, noise from the seed as users have it: every attention, cache,
// reuse rule, image and joint of windows in both precisions; what the host waits for; what fails half-way.
#include <ATen/ATen.h>
#include <c10/core/CachingDeviceAllocator.h>
#include <c10/core/InferenceMode.h>
#include <c10/core/impl/VirtualGuardImpl.h>
#include <cstdlib>
#include <thread>

#include "engine/device.h"
#include "engine/session/device_errors.h"
#include "tests/fake/each_place.h"
#include "tests/fake/fake_device.h"
#include "tests/session/demo.h"
#include "tests/session/variants.h"

using namespace mc;
using namespace mc::session;
using test::video;
using test::Variant;
using test::variants;

namespace {

using Model = std::shared_ptr<const skyreels_v2::Model>;

constexpr const char *DEMO = "/models/demo", *SMALL = "/tests/golden/data/weights/diffusers";

Model load(at::Device device, Precision precision, bool weights_in_bytes = false, const char* folder = DEMO) {
    LoadOptions o;
    o.weights_in_bytes = weights_in_bytes;
    o.opened = device;
    o.threads = 1;
    o.precision = precision;
    return skyreels_v2::Model::open(test::root + folder, o);
}

// Apart, because GCC 12 otherwise warns of members that are not set.
[[gnu::noinline]] Request plain_request() {
    return variants().front().request;
}

double psnr(const at::Tensor& a, const at::Tensor& b) {
    return 10 * std::log10(4 / ((a - b).square().mean().item<double>() + 1e-20));
}

} // namespace

TEST(every_kind_of_video) {
    const Model cpu = load(at::kCPU, Precision::FLOAT32), fine = load(fake::device(), Precision::FLOAT32),
                coarse = load(fake::device(), Precision::BFLOAT16);
    for (const auto& [name, request] : variants()) {
        const at::Tensor want = video(cpu, request);
        Stats stats;
        const double exact = psnr(video(fine, request, &stats), want),
                     rounded = psnr(video(coarse, request), want);
        // A cache that reuses nothing is none.
        if (request.cache.kind != CacheKind::NONE) CHECK(stats.count.tokens_reused > 0);
        std::printf("     %-20s float32 %6.1f dB to the CPU, bfloat16 %5.1f dB\n", name, exact, rounded);
        std::fflush(stdout);
        if (!(exact > 100)) test::fail(__FILE__, __LINE__, std::string(name) + " in float32");
        if (!(rounded > 32)) test::fail(__FILE__, __LINE__, std::string(name) + " in bfloat16");
    }
    CHECK_EQ(fake::counts.races.load(), 0);
    CHECK(fake::counts.attention > 0);
}

// Weights, keys and values of eight bits, through whole videos: as far from float32 as bfloat16 is, and somewhat more.
TEST(eight_bits) {
    const Model cpu = load(at::kCPU, Precision::FLOAT32), coarse = load(fake::device(), Precision::BFLOAT16),
                coded = load(fake::device(), Precision::BFLOAT16, true),
                cpu_coded = load(at::kCPU, Precision::FLOAT32, true);
    CHECK(coded->bytes() < coarse->bytes());
    CHECK_EQ(cpu_coded->bytes(), cpu->bytes()); // the same numbers, as wide as ever
    for (const auto& [name, request] : variants()) {
        const std::string kind = name;
        if (kind != "kv" && kind != "motioncache" && kind != "image, kv") continue;
        Request in_bytes = request;
        in_bytes.kv_precision = StoredPrecision::INT8;
        const at::Tensor want = video(cpu, request);
        struct {
            const char* what;
            const Model& model;
            const Request& request;
        } const ways[] = {{"bfloat16", coarse, request},
                          {"weights", coded, request},
                          {"keys and values", coarse, in_bytes},
                          {"both", coded, in_bytes},
                          {"weights, on the CPU in float32", cpu_coded, request}};
        for (const auto& way : ways) {
            Stats stats;
            const double off = psnr(video(way.model, way.request, &stats), want);
            std::printf("     %-12s %-30s %5.1f dB, %5.1f MB of keys and values\n", name, way.what, off,
                        double(stats.bytes_keys_values) / 1e6);
            CHECK(off > 25 && off < 100);
        }
        CHECK_ERROR(Session(cpu, in_bytes), MC_ERROR_SETTINGS, "kv-precision=int8 is for GPUs");
        Request full = in_bytes;
        full.attention = Attention::FULL;
        CHECK_ERROR(Session(coarse, full), MC_ERROR_SETTINGS, "kv-precision is set but attention is not kv");
    }
}

// Text and windows may wait as often as they like, and each chunk for its frames; a row waits once. What the host knows
// of a row goes over in one piece for each forward: one, where attention is kv.
TEST(a_row_waits_once) {
    c10::InferenceMode inference;
    const Model model = load(fake::device(), Precision::FLOAT32);
    for (const auto& [name, request] : variants()) {
        const auto made = model->begin(request);
        Meter meter;
        int64_t rows = 0, chunks = 0, most_uploads = 0;
        for (bool more = true; more;) {
            int64_t before = fake::counts.waits;
            if (const auto chunk = made->take(meter)) {
                chunks++;
                if (fake::counts.waits - before > 2) test::fail(name, 0, "more than two waits for a chunk");
                meter.deliver({0, chunk->pixels.size(1), chunk->count});
                continue;
            }
            before = fake::counts.waits;
            const int64_t uploads = fake::counts.uploads;
            const int64_t forwards = meter.stats().forwards;
            more = made->step(meter);
            const int64_t waits = fake::counts.waits - before;
            if (meter.stats().forwards == forwards) continue;
            rows++;
            const int64_t passed = request.attention == Attention::KV ? 1 : meter.stats().forwards - forwards;
            most_uploads = std::max(most_uploads, fake::counts.uploads - uploads - passed);
            // Where the solver goes past everything nothing is asked of the device.
            const bool idle = waits == 0 && request.cache.reuse == CacheReuse::SOLVER;
            if (waits != 1 && !idle) test::fail(name, int(rows), std::to_string(waits) + " waits in a row");
        }
        CHECK(rows >= 5 && chunks >= 1);
        // Beside the forward's: the noise of a prefix; the solver's table, where it goes token by token.
        const std::string kind = name;
        const int64_t others = kind == "solver" || kind.starts_with("windows") ? 1 : 0;
        if (most_uploads > others) test::fail(name, 0, std::to_string(most_uploads) + " uploads too many in a row");
    }
}

// The thread that makes a video stands on another device than the model, as each new thread does; videos made at once
// work in streams of their own.
TEST(any_thread_and_any_device) {
    const c10::impl::VirtualGuardImpl guard(fake::device().type());
    const Model model = load(fake::device(1), Precision::FLOAT32), cpu = load(at::kCPU, Precision::FLOAT32);
    for (const auto& [name, request] : variants()) {
        if (std::string(name) != "image, kv") continue; // begins with what was loaded last, the VAE
        const at::Tensor want = video(cpu, request);
        std::vector<at::Tensor> made(2);
        std::vector<c10::StreamId> streams(2, 0);
        std::vector<std::string> errors(2);
        std::vector<std::thread> threads;
        for (size_t i = 0; i < 2; i++)
            threads.emplace_back([&, i, request = request] {
                CHECK_EQ(int(guard.getDevice().index()), 0);
                Request r = request;
                r.turns = [&](int, const sampler::Turn&) {
                    streams[i] = guard.getStream(fake::device(1)).id();
                    CHECK_EQ(int(guard.getDevice().index()), 1);
                };
                try {
                    made[i] = video(model, r);
                } catch (const c10::Error& e) {
                    errors[i] = e.what_without_backtrace();
                } catch (const std::exception& e) {
                    errors[i] = e.what();
                }
                CHECK_EQ(int(guard.getDevice().index()), 0);
            });
        for (std::thread& t : threads) t.join();
        for (size_t i = 0; i < 2; i++) {
            if (!errors[i].empty()) test::fail(name, 0, errors[i]);
            CHECK(made[i].defined() && psnr(made[i], want) > 100);
        }
        CHECK(streams[0] && streams[1] && streams[0] != streams[1]);
    }
    CHECK_EQ(fake::counts.races.load(), 0);
}

// Loaded in one stream, used in others: also while another model takes the place of one that goes.
TEST(memory_goes_with_the_model) {
    c10::getDeviceAllocator(fake::device().type())->emptyCache();
    const size_t before = fake::use().reserved;
    for (int i = 0; i < 2; i++) {
        Model model = load(fake::device(), Precision::BFLOAT16);
        CHECK(fake::use().used > before + (1 << 20));
        video(model, variants().front().request);
        model.reset();
        CHECK_EQ(fake::use().used, before);
        CHECK_EQ(fake::use().reserved, before);
    }
    CHECK_EQ(fake::counts.races.load(), 0);
}

// Every place in turn that allocates, from loading to the last frame, as it is first come by: one error, nothing stays
// held, and the model can be used again. Of sessions that between them have everything that takes memory of its own.
// The golden model comes by every place that the demo model does, in less time, but for some of loading eight bits.
TEST(memory_that_ends_anywhere_is_one_error) {
    const struct {
        const char *what, *variant; // variant: of tests/session/variants.h
        Precision precision;
        bool weights_in_bytes, streamed, keys_in_bytes;
    } sessions[] = {{"float32", "full", Precision::FLOAT32, false, false, false},
                    {"eight bits, streamed", "taylor", Precision::BFLOAT16, true, true, true},
                    {"windows", "windows by pixels", Precision::BFLOAT16, false, true, false}};
    fake::Places all;
    const auto each_place_fails = [&](const std::string& what, const std::function<void()>& make) {
        const fake::Places failed = fake::each_place_fails(what, make);
        all.all += failed.all, all.pinned += failed.pinned;
    };
    for (const auto& session : sessions) {
        Request r = plain_request();
        for (const Variant& v : variants())
            if (v.name == std::string(session.variant)) r = v.request;
        r.steps = 2, r.ar_step = 0, r.width = r.height = 16;
        if (*r.num_frames == 21) r.num_frames = 9;
        if (session.keys_in_bytes) r.kv_precision = StoredPrecision::INT8;
        if (r.cache.preset) r.cache.preset = CachePreset::CUSTOM, r.cache.threshold = 0.1; // it was not calibrated
        Model model;
        const auto open = [&](const char* folder, int64_t streamed) {
            model = load(fake::device(), session.precision, session.weights_in_bytes, folder);
            if (!session.streamed) return;
            try {
                with_memory_told(fake::device(), "The model", 0, "", [&] { model->transformer->stream(streamed); });
            } catch (const Error&) {
                model.reset();
                throw;
            }
        };
        const bool coded = session.weights_in_bytes;
        each_place_fails(std::string(session.what) + ", loading",
                         [&] { model.reset(), open(coded ? DEMO : SMALL, coded ? 5 : 2), model.reset(); });
        open(SMALL, 2);
        each_place_fails(std::string(session.what) + ", video", [&] { video(model, r); });
    }
    std::printf("     %zu of them in memory of the host\n", all.pinned);
    CHECK(all.all > 1000 && all.pinned > 8);
    CHECK_EQ(fake::counts.races.load(), 0);
}

// Wherever it is lost, one error that says what to do; also with layers on their way to it. A model that goes then,
// with its buffers, is no second one.
TEST(a_lost_device_is_one_error) {
    for (bool streamed : {false, true}) {
        Model model = load(fake::device(), Precision::FLOAT32);
        if (streamed) model->transformer->stream(5);
        for (int64_t after : {0, 20, 100, 400, 1000}) {
            fake::fail(fake::Failure::LOST, after);
            CHECK_ERROR(video(model, variants().front().request), MC_ERROR_DEVICE,
                        "failed in the middle of its work");
        }
        model.reset();
        fake::fail(fake::Failure::LOST, 3);
        CHECK_ERROR(load(fake::device(), Precision::FLOAT32), MC_ERROR_DEVICE, "device=cpu");
        fake::fail(fake::Failure::NONE, 0);
    }
}

// What a video takes beside the weights, at several sizes: never more than planned, and not so little that videos which
// would fit are refused.
TEST(what_is_planned_is_what_is_taken) {
    for (Precision precision : {Precision::FLOAT32, Precision::BFLOAT16}) {
        const Model model = load(fake::device(), precision);
        for (auto& [name, request] : variants()) {
            const std::string kind = name;
            if (kind != "kv" && kind != "full" && kind != "taylor" && kind != "image" && kind != "windows by pixels" &&
                kind != "solver")
                continue;
            Request r = request;
            if (kind == "solver") r.kv_precision = StoredPrecision::INT8;
            r.steps = 2, r.ar_step = 0, r.width = 160, r.height = 96;
            const size_t before = fake::use().used;
            fake::forget_most();
            Session s(model, r);
            const int64_t planned = s.stats().bytes_planned - s.stats().bytes_weights;
            while (s.next()) {
            }
            const auto taken = int64_t(fake::use().most - before);
            std::printf("     %-20s %s: %6.1f MB planned, %6.1f MB taken\n", name, name_of(precision),
                        planned / 1e6, taken / 1e6);
            if (!(taken <= planned)) test::fail(name, 0, "more was taken than planned");
            if (!(planned < 3 * taken)) test::fail(name, 0, "much more was planned than taken");
        }
    }
}

// With room for just that, what products keep of one video is no more that the next one needs.
TEST(what_products_keep_is_planned_once) {
    const Model model = load(fake::device(), Precision::BFLOAT16);
    const Request r = plain_request();
    give_back_memory(fake::device());
    const Stats stats = Session(model, r).stats();
    fake::set_capacity(fake::use().used + size_t(stats.bytes_planned - stats.bytes_weights));
    for (int run = 0; run < 2; run++) {
        video(model, r);
        CHECK(model->text_encoder->device() == fake::device() && model->transformer->streamed() == 0);
    }
    fake::set_capacity(fake::ALL);
}

// Both numbers, and settings that do fit: taken at their word.
TEST(a_video_too_large_is_refused_with_what_fits) {
    const Model model = load(fake::device(), Precision::BFLOAT16);
    Request r = plain_request();
    r.width = 96, r.height = 64, r.num_frames = 93, r.base_num_frames = 93, r.steps = 1, r.ar_step = 0;
    const int64_t planned = [&] {
        const Stats stats = Session(model, r).stats();
        return stats.bytes_planned - stats.bytes_weights - stats.bytes_keys_values / 2;
    }();
    model->text_encoder->move_to(at::kCPU, {});
    // Not even with the layers in the computer's memory.
    const int64_t layers =
        model->transformer_config.layers *
        wan_dit::Transformer::layer_bytes(model->transformer_config, Precision::BFLOAT16, false).total();
    fake::set_capacity(fake::use().used + size_t(planned - layers));
    try {
        Session s(model, r);
        test::fail(__FILE__, __LINE__, "it was not refused");
    } catch (const Error& e) {
        const std::string text = e.what();
        std::printf("     %s\n", text.c_str());
        CHECK_EQ(int(e.status), int(MC_ERROR_MEMORY));
        CHECK(text.find(" GiB of fake:0's memory but ") != std::string::npos);
        CHECK(text.find(" GiB are free; num-frames=") != std::string::npos);
        int frames = 0, width = 0, height = 0;
        CHECK_EQ(std::sscanf(text.substr(text.find("num-frames=")).c_str(),
                             "num-frames=%d or width=%d height=%d", &frames, &width, &height),
                 3);
        std::vector<Request> fitting(2, r);
        fitting[0].num_frames = frames, fitting[0].base_num_frames = frames;
        fitting[1].width = width, fitting[1].height = height;
        for (const Request& each : fitting) video(model, each);
    }
    r.width = 16, r.height = 16, r.num_frames = 9;
    const int64_t resident = layers - model->transformer->streamed_bytes();
    fake::set_capacity(fake::use().used + (1 << 16) - size_t(resident));
    CHECK_ERROR(Session(model, r), MC_ERROR_MEMORY, "use a smaller model");
    fake::set_capacity(fake::ALL);
}

// Read for the text and let go; nothing is kept, so that it is read each time.
TEST(an_encoder_on_demand_is_gone_while_frames_are_made) {
    const Request r = plain_request();
    const Model held = load(fake::device(), Precision::BFLOAT16);
    const at::Tensor want = video(held, r);
    ::setenv("MOTIONCACHE_TEXT_CACHE", "always", 1);
    ::setenv("MOTIONCACHE_CACHE", "/dev/null", 1);
    const Model model = load(fake::device(), Precision::BFLOAT16);
    CHECK_EQ(model->bytes(), held->bytes() - held->text_encoder->bytes());
    LoadOptions o;
    o.opened = fake::device(), o.threads = 1;
    const MemoryForecast f = forecast_memory(test::root + "/models/demo", o, r);
    for (int run = 0; run < 2; run++) {
        const size_t before = fake::use().used;
        fake::forget_most();
        Stats stats;
        CHECK(at::equal(video(model, r, &stats), want));
        CHECK(model->text_encoder->device() == fake::device() && model->text_encoder->bytes() == 0);
        CHECK_EQ(stats.bytes_planned - stats.bytes_weights, f.total - f.weights());
        CHECK(int64_t(fake::use().most - before) <= stats.bytes_planned - stats.bytes_weights);
        give_back_memory(fake::device()); // what products keep
        CHECK(fake::use().used <= before);
    }
    ::unsetenv("MOTIONCACHE_TEXT_CACHE");
    ::unsetenv("MOTIONCACHE_CACHE");
    CHECK_EQ(fake::counts.races.load(), 0);
}

// Where the device has no room for all of the transformer, the fewest layers that must are kept by the host: by the
// model when it is opened, or by a video that is large. The same video, bit for bit, in the memory that there is.
TEST(a_transformer_that_does_not_fit_is_streamed) {
    const std::string folder = test::root + "/models/demo";
    Request r = plain_request();
    r.width = 96, r.height = 64;
    std::vector<std::string> said;
    LoadOptions o;
    o.opened = fake::device(), o.threads = 1;
    o.log = [&](int level, const std::string& text) {
        if (level == 2) said.push_back(text);
    };
    for (bool in_bytes : {false, true}) {
        o.weights_in_bytes = in_bytes;
        const auto whole = skyreels_v2::Model::open(folder, o);
        const MemoryForecast f = forecast_memory(folder, o, r);
        CHECK(said.empty() && f.streamed == 0);
        whole->text_encoder->move_to(at::kCPU, {});
        const at::Tensor want = video(whole, r);
        const auto one =
            wan_dit::Transformer::layer_bytes(whole->transformer_config, Precision::BFLOAT16, in_bytes);
        give_back_memory(fake::device()); // what products keep
        const int64_t begin = int64_t(fake::use().used),
                      room = f.transformer + f.vae_weights + f.keys_values + f.cache + f.activations + f.vae;
        const struct {
            const char* what;
            int64_t capacity; // beside what is held already
        } ways[] = {{"a video's need", room - one.total() / 2},
                    {"half of the layers", room - 2 * one.total()},
                    {"as many as are worth it at all", room - 7 * one.total() + 2 * one.forward - one.total() / 10}};
        int64_t before = 0;
        for (const auto& way : ways) {
            give_back_memory(fake::device());
            fake::set_capacity(size_t(begin + way.capacity));
            const MemoryForecast told = forecast_memory(folder, o, r);
            CHECK(told.streamed > 0 && told.would_fit.empty() && told.total <= told.free);
            CHECK(told.text_device == at::kCPU);
            if (!told.streamed) continue;
            check_early(folder, o, r);
            const auto model = skyreels_v2::Model::open(folder, o);
            Stats stats;
            fake::forget_most();
            CHECK(at::equal(video(model, r, &stats), want));
            const int64_t layers = model->transformer->streamed();
            std::printf(
                "     %-32s %lld of 8 layers on the host; %.1f MB at most of %.1f planned and %.1f there\n",
                way.what, static_cast<long long>(layers), double(fake::use().most - size_t(begin)) / 1e6,
                stats.bytes_planned / 1e6, way.capacity / 1e6);
            CHECK(layers >= 3 && layers >= before);
            CHECK(std::abs(model->transformer->streamed_bytes() - told.streamed) <= one.total());
            CHECK(stats.bytes_planned - model->text_encoder->bytes() <= way.capacity); // which is on the CPU
            CHECK(int64_t(fake::use().most) - begin <= way.capacity);
            CHECK(!said.empty() && said.back().find("stay in the computer's memory") != std::string::npos);
            CHECK_EQ(said.back().find("weights-precision=int8") == std::string::npos, in_bytes);
            said.clear();
            before = layers;
        }
        CHECK_EQ(before, int64_t(8));
        fake::set_capacity(size_t(begin + room - 8 * one.total()));
        const MemoryForecast told = forecast_memory(folder, o, r);
        CHECK(told.total > told.free && told.would_fit.find("would fit.") != std::string::npos);
        fake::set_capacity(fake::ALL);
    }
    CHECK_EQ(fake::counts.races.load(), 0);
}

// Videos of one model, the second of which makes the layers move while the first is in its middle: what the first one
// was planned with holds, and both together stay in the memory that there is.
TEST(a_video_that_streams_layers_leaves_others_in_their_memory) {
    Request r = plain_request();
    r.width = 96, r.height = 64;
    const Model model = load(fake::device(), Precision::BFLOAT16);
    model->text_encoder->move_to(at::kCPU, {});
    const at::Tensor want = video(model, r);
    const auto one = wan_dit::Transformer::layer_bytes(model->transformer_config, Precision::BFLOAT16, false);
    const auto begin = int64_t(fake::use().used);
    Session first(model, r);
    const int64_t planned = first.stats().bytes_planned - first.stats().bytes_weights;
    std::vector<at::Tensor> pieces, others;
    pieces.push_back(first.next()->pixels.clone());
    // For two of them, but for some of the weights.
    const int64_t capacity = begin + 2 * planned - 2 * one.forward;
    c10::getDeviceAllocator(fake::device().type())->emptyCache();
    fake::set_capacity(size_t(capacity));
    {
        // What the first one has not taken yet nobody knows of: the second is planned with what is free now, less that.
        const int64_t taken = int64_t(fake::use().used) - begin;
        CHECK(taken > 0 && taken <= planned);
        fake::set_capacity(size_t(capacity - (planned - taken)));
    }
    Session second(model, r);
    CHECK(model->transformer->streamed() >= 3);
    fake::set_capacity(size_t(capacity));
    fake::forget_most();
    for (;;) { // in turns
        auto a = first.next(), b = second.next();
        if (a) pieces.push_back(a->pixels.clone());
        if (b) others.push_back(b->pixels.clone());
        if (!a && !b) break;
    }
    CHECK(at::equal(at::cat(pieces, 1), want) && at::equal(at::cat(others, 1), want));
    CHECK(int64_t(fake::use().most) <= capacity);
    fake::set_capacity(fake::ALL);
    CHECK_EQ(fake::counts.races.load(), 0);
}

// The same without a weight read, for a folder; and the text encoder goes to the CPU where the device is short.
TEST(a_forecast_is_what_the_session_plans) {
    const std::string folder = test::root + "/models/demo";
    Request r = plain_request();
    LoadOptions o;
    o.opened = fake::device(), o.threads = 1;
    const size_t before = fake::use().allocations;
    const MemoryForecast f = forecast_memory(folder, o, r);
    CHECK_EQ(fake::use().allocations, before);
    CHECK(f.device == fake::device() && f.text_device == fake::device() &&
          f.precision == Precision::BFLOAT16);
    CHECK(f.would_fit.empty() && f.total < f.free);
    const at::Tensor want = video(load(fake::device(), Precision::BFLOAT16), r);
    {
        const Model model = load(fake::device(), Precision::BFLOAT16);
        const Session s(model, r);
        CHECK_EQ(s.stats().bytes_planned - s.stats().bytes_weights, f.total - f.weights());
        CHECK_EQ(s.stats().bytes_keys_values, f.keys_values);
    }

    {
        LoadOptions in_bytes = o;
        in_bytes.weights_in_bytes = true;
        const MemoryForecast less = forecast_memory(folder, in_bytes, r);
        const Model model = load(fake::device(), Precision::BFLOAT16, true);
        const Model plain = load(fake::device(), Precision::BFLOAT16);
        CHECK_EQ(f.transformer - less.transformer, plain->transformer->bytes() - model->transformer->bytes());
        CHECK(less.transformer < 0.75 * double(f.transformer));
    }

    // Less than twice the weights: the encoder is read to the CPU.
    const auto held = int64_t(fake::use().used);
    c10::getDeviceAllocator(fake::device().type())->emptyCache();
    fake::set_capacity(size_t(held + f.total - f.text_encoder / 2));
    const MemoryForecast shorter = forecast_memory(folder, o, r);
    CHECK(shorter.text_device == at::kCPU && shorter.would_fit.empty());
    {
        const Model model = load(fake::device(), Precision::BFLOAT16);
        CHECK(psnr(video(model, r), want) > 40);
        CHECK(model->text_encoder->device() == at::kCPU);
    }
    fake::set_capacity(fake::ALL);
    {
        const Model model = load(fake::device(), Precision::BFLOAT16);
        CHECK(model->text_encoder->device() == fake::device());
        fake::set_capacity(fake::use().used + size_t(f.total - f.weights()) - (64 << 10));
        CHECK(psnr(video(model, r), want) > 40); // moved away
        CHECK(model->text_encoder->device() == at::kCPU);
        fake::set_capacity(fake::ALL);
    }
    c10::getDeviceAllocator(fake::device().type())->emptyCache();
    fake::set_capacity(fake::use().used + size_t(f.transformer + f.vae_weights - f.saved / 2));
    std::string said;
    o.log = [&](int, const std::string& text) { said += text; };
    skyreels_v2::Model::open(folder, o);
    CHECK(said.find("weights-precision=int8 makes them smaller") != std::string::npos);
    said.clear(), o.weights_in_bytes = true;
    skyreels_v2::Model::open(folder, o); // taken at its word
    CHECK(said.find("layers") == std::string::npos);
    o.log = {}, o.weights_in_bytes = false;
    fake::set_capacity(1 << 18);
    CHECK_ERROR(check_early(folder, o, r), MC_ERROR_MEMORY, "The model needs ");
    CHECK_ERROR(load(fake::device(), Precision::BFLOAT16), MC_ERROR_MEMORY, "The model needs ");
    fake::set_capacity(fake::ALL);
    CHECK_EQ(fake::counts.races.load(), 0);
}

int main(int argc, char** argv) {
    test::root = argv[1];
    return test::run_tests(argc - 1, argv + 1);
}
