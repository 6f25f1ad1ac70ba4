// SPDX-License-Identifier: LGPL-2.1-or-later
// MAGI-1 on a device, whole sessions of random weights: the same as on the CPU, in the memory that was planned; with
// layers that the host keeps the same bytes, however many there are, and whether model, video or test moves them.
#include <ATen/ATen.h>

#include "engine/device.h"
#include "engine/families/magi1/model.h"
#include "engine/session/session.h"
#include "tests/check.h"
#include "tests/fake/fake_device.h"
#include "tests/model/small_magi1.h"

// GCC 12 takes the members of an empty optional for ones that are read.
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"

using namespace mc;
using magi1::Model;
using session::MemoryForecast;
using session::Request;
using session::Session;
using session::Stats;

namespace {

struct Kind {
    const char* name;
    test::SmallMagi1 kind;
    bool cached;
};
const Kind KINDS[] = {{"distilled", {.layers = 6}, false},
                      {"distilled, cached", {.layers = 5}, true},
                      {"three branches", {.distilled = false, .layers = 5}, false},
                      {"gated, doubled, of eight bits", {.large = true, .fp8 = true, .layers = 6}, false}};

Request request_of(const Kind& kind) {
    Request r;
    r.prompt = "a red ball bouncing over green hills";
    r.seed = 5, r.width = 48, r.height = 32, r.num_frames = 30;
    r.cache.kind = kind.cached ? CacheKind::MOTIONCACHE : CacheKind::NONE;
    return r;
}

std::vector<std::string> said; // that layers move

session::LoadOptions options(at::Device device, Precision precision) {
    session::LoadOptions o;
    o.opened = device, o.threads = 1, o.precision = precision;
    o.log = [](int level, const std::string& text) {
        if (level == 2) said.push_back(text);
    };
    return o;
}

at::Tensor video(const std::shared_ptr<const Model>& model, const Request& request, Stats* stats = nullptr) {
    Session s(model, request);
    std::vector<at::Tensor> pieces;
    while (auto frames = s.next()) pieces.push_back(frames->pixels.clone());
    if (stats) *stats = s.stats();
    return at::cat(pieces, 1);
}

// Beside what products and ATen keep.
int64_t used() {
    give_back_memory(fake::device());
    return int64_t(fake::use().used);
}

// So much more than is held now is there.
void leave(int64_t bytes) {
    fake::set_capacity(size_t(used() + bytes));
}

} // namespace

// Moved by the model, by a video, or by the test: as many as the memory asks for, and not a bit of difference.
TEST(streamed_layers_make_the_same_video) {
    for (const Kind& kind : KINDS) {
        const test::TemporaryFolder folder;
        const std::string config = test::write_small_magi1(folder.path, kind.kind);
        const Request r = request_of(kind);
        const auto o = options(fake::device(), Precision::BFLOAT16);
        said.clear();
        const auto whole = Model::open(config, o);
        whole->text_encoder->move_to(at::kCPU, {});
        Stats stats;
        const at::Tensor want = video(whole, r, &stats);
        const int64_t layers = whole->folder.transformer.layers,
                      planned = stats.bytes_planned - stats.bytes_weights;
        const auto one = magi_dit::Network::layer_bytes(whole->folder.transformer, Precision::BFLOAT16);

        { // all of them, by hand: what is told is what moves
            const auto model = Model::open(config, o);
            int64_t before = used();
            const int64_t bytes = model->bytes();
            model->transformer->stream(layers);
            const int64_t gone = layers * one.total() - 2 * one.forward;
            CHECK(std::abs(before - used() - gone) < one.total() / 20);
            CHECK(std::abs(bytes - model->bytes() - gone) < one.total() / 20);
            CHECK(std::abs(model->transformer->streamed_bytes() - layers * one.total()) < one.total() / 20);
            before = used();
            CHECK(at::equal(video(model, r), want));
            CHECK(used() <= before); // no buffer is left of a video
        }
        for (const auto& [what, less] : {std::pair("a video's need", one.forward / 2),
                                         {"most of the layers", layers * one.total() - 5 * one.forward / 2}}) {
            const MemoryForecast f = session::forecast_memory(config, o, r);
            const int64_t begin = used(), room = f.transformer + f.vae_weights + planned - less;
            leave(room);
            const MemoryForecast told = session::forecast_memory(config, o, r);
            CHECK(told.streamed > 0 && told.would_fit.empty() && told.total <= told.free);
            CHECK(told.text_device == at::kCPU);
            session::check_early(config, o, r);
            said.clear();
            fake::forget_most();
            const auto model = Model::open(config, o);
            CHECK(at::equal(video(model, r, &stats), want));
            std::printf("     %-30s %-20s %lld of %lld layers on the host; %.2f MB at most of %.2f there\n", kind.name, what,
                        (long long)model->transformer->streamed(), (long long)layers,
                        double(int64_t(fake::use().most) - begin) / 1e6, room / 1e6);
            CHECK(model->transformer->streamed() >= 3);
            CHECK(std::abs(model->transformer->streamed_bytes() - told.streamed) <= one.total());
            CHECK(int64_t(fake::use().most) - begin <= room);
            CHECK(!said.empty() && said.back().find("stay in the computer's memory") != std::string::npos);
            fake::set_capacity(fake::ALL);
        }
        // Not even with all of them: both numbers, and what would fit, taken at its word.
        Request large = r;
        large.width = 160, large.height = 96;
        const auto model = Model::open(config, o);
        model->text_encoder->move_to(at::kCPU, {});
        const MemoryForecast f = session::forecast_memory(config, o, large);
        const int64_t freed = layers * one.total() - 2 * one.forward;
        leave(f.keys_values + f.cache + f.activations + f.vae - freed - (64 << 10));
        try {
            Session s(model, large);
            test::fail(kind.name, 0, "it was not refused");
        } catch (const Error& e) {
            const std::string text = e.what();
            CHECK_EQ(int(e.status), int(MC_ERROR_MEMORY));
            CHECK(text.find(" GiB of fake:0's memory but ") != std::string::npos);
            int width = 0, height = 0;
            const size_t at = text.find("width=");
            CHECK(at != std::string::npos);
            if (at != std::string::npos) {
                CHECK_EQ(std::sscanf(text.substr(at).c_str(), "width=%d height=%d", &width, &height), 2);
                large.width = width, large.height = height;
                video(model, large);
            }
        }
        fake::set_capacity(fake::ALL);
    }
    CHECK_EQ(fake::counts.races.load(), 0);
}

int main(int argc, char** argv) {
    return test::run_tests(argc, argv);
}
