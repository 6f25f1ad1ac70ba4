// SPDX-License-Identifier: LGPL-2.1-or-later
// MAGI-1 behind the session: a folder of random weights, from its JSON file to frames.
#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>
#include <fstream>
#include <unistd.h>

#include "engine/families/magi1/model.h"
#include "engine/families/magi1/settings.h"
#include "engine/model/model_folder.h"
#include "engine/processor.h"
#include "engine/sampler/noise.h"
#include "engine/session/session.h"
#include "tests/check.h"
#include "tests/model/small_magi1.h"

// GCC 12 takes the members of an empty optional for ones that are read.
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"

using namespace mc;
using magi1::Model;
using session::Request;
using session::Session;

namespace {

session::LoadOptions options() {
    session::LoadOptions o;
    o.device = "cpu";
    o.threads = 2;
    o.precision = Precision::FLOAT32;
    return o;
}

struct Opened {
    test::TemporaryFolder folder;
    std::string config;
    std::shared_ptr<const Model> model;
    explicit Opened(const test::SmallMagi1& kind = {})
        : config(test::write_small_magi1(folder.path, kind)), model(Model::open(config, options())) {}
};

// Written and loaded once.
const Opened& distilled() {
    static const Opened opened;
    return opened;
}
const Opened& base() {
    static const Opened opened({.distilled = false});
    return opened;
}

Request small(int frames = 60) {
    Request r;
    r.prompt = "a red ball bouncing over green hills";
    r.seed = 5;
    r.width = 48, r.height = 32;
    r.num_frames = frames;
    r.cache.kind = CacheKind::NONE;
    return r;
}

struct Made {
    std::vector<at::Tensor> chunks;
    session::Stats stats;
};

Made make(const Opened& opened, const Request& request, int most = 1000) {
    Session session(opened.model, request);
    Made made;
    while (most-- > 0) {
        auto frames = session.next();
        if (!frames) break;
        made.chunks.push_back(frames->pixels);
    }
    made.stats = session.stats();
    return made;
}

std::vector<int64_t> lengths(const Made& made) {
    std::vector<int64_t> list;
    for (const at::Tensor& chunk : made.chunks) list.push_back(chunk.size(1));
    return list;
}

at::Tensor whole(const Made& made) {
    return at::cat(made.chunks, 1);
}

} // namespace

TEST(frames_leave_24_by_24_and_exactly_as_many_as_asked_for) {
    for (int frames : {60, 48, 1}) {
        const Made made = make(distilled(), small(frames));
        std::vector<int64_t> expected(size_t(frames / 24), 24);
        if (frames % 24) expected.push_back(frames % 24);
        CHECK(lengths(made) == expected);
        const int64_t chunks = int64_t(expected.size()), rows = 2 * (chunks + 3);
        CHECK_EQ(made.stats.frames, frames);
        CHECK_EQ(made.stats.chunks_total, chunks);
        CHECK_EQ(made.stats.forwards, rows);
        CHECK_EQ(made.stats.forwards_total, rows);
        CHECK_EQ(made.stats.count.turns, 8 * chunks);
        CHECK_EQ(made.stats.count.extra, chunks - 1); // passed once more when they are finished
        CHECK(made.stats.flop_transformer > 0 && made.stats.flop_vae > 0 && made.stats.flop_text > 0);
        CHECK(made.chunks[0].isfinite().all().item<bool>() && made.chunks[0].std().item<double>() > 0.01);
    }
}

TEST(a_chunk_leaves_as_soon_as_it_is_clean) {
    Session session(distilled().model, small(96));
    std::vector<int64_t> forwards;
    while (session.next()) forwards.push_back(session.stats().forwards);
    CHECK(forwards == (std::vector<int64_t>{8, 10, 12, 14}));
}

TEST(the_same_request_is_the_same_video) {
    Request r = small(30);
    const at::Tensor first = whole(make(distilled(), r));
    CHECK(at::equal(first, whole(make(distilled(), r))));
    r.seed = 6;
    CHECK(!at::equal(first, whole(make(distilled(), r))));
    r.seed = 5;
    r.prompt = "a white boat";
    CHECK(!at::equal(first, whole(make(distilled(), r))));
    // What a distilled model would be guided by it has learned.
    Request none = small(30);
    none.guidance_scale = 1;
    CHECK(at::equal(first, whole(make(distilled(), none))));
}

// Put together once more from its parts, as the golden runner does.
TEST(a_session_is_the_sampler_with_words_before_and_pictures_behind) {
    for (const Opened* opened : {&distilled(), &base()}) {
        const Model& m = *opened->model;
        const Request request = small(60);
        std::vector<at::Tensor> latents;
        Request traced = request;
        traced.trace = [&](const std::string& name, const at::Tensor& value) {
            if (name.starts_with("latents.c")) latents.push_back(value);
        };
        const at::Tensor made = whole(make(*opened, traced));

        const magi1::Settings s = magi1::complete(request, m.planned().facts);
        const auto& config = m.folder.transformer;
        const magi1::TextEncoder::Encoded encoded = m.text_encoder->encode(s.prompt, {});
        const magi1::Caption caption{encoded.rows, at::ones({encoded.rows.size(0)}, at::kBool)};
        const auto text = m.transformer->text(with_tokens(caption, {}, m.tokens, config.text_rows).counting());
        const auto none = m.transformer->text(null_text(m.transformer->null_caption(), {}, m.tokens).counting());
        std::vector<std::shared_ptr<const magi_dit::Text>> durations;
        for (int following = 2; following >= 0; following--)
            durations.push_back(m.transformer->text(duration_token({}, m.tokens, following)));
        magi_dit::Passes passes(*m.transformer, {6, 4, 6, magi1::Sampler::at_once(s.sampler)});
        const auto policy = cache::make_policy(s.sampler.cache);
        magi1::Sampler sampler(
            passes, 6, s.sampler,
            {[&](int64_t chunk) { return std::vector{durations[size_t(chunk)].get(), text.get()}; }, none.get()}, *policy,
            [&](int64_t chunk) {
                std::vector<at::Tensor> frames;
                for (uint32_t f = 0; f < 6; f++) {
                    at::Tensor frame = at::empty({config.latent_channels(), 4, 6});
                    sampler::normal_noise({5, sampler::Purpose::INITIAL, 0, uint32_t(chunk) * 6 + f, 0},
                                          frame.mutable_data_ptr<float>(), size_t(frame.numel()));
                    frames.push_back(frame);
                }
                return at::stack(frames, 1);
            });
        std::vector<at::Tensor> by_hand, pictures;
        magi1::Timing timing;
        while (!sampler.done()) {
            sampler.step({}, {}, timing);
            while (auto chunk = sampler.take()) {
                by_hand.push_back(chunk->latents);
                pictures.push_back(m.vae->decode(chunk->latents / 0.18215, {}));
            }
        }
        CHECK(latents.size() == 3 && at::equal(at::cat(latents, 1), at::cat(by_hand, 1)));
        CHECK(at::equal(made, at::cat(pictures, 1).narrow(1, 0, 60).clamp(-1, 1)));
    }
}

int main(int argc, char** argv) {
    const c10::InferenceMode inference;
    set_thread_count(2);
    return test::run_tests(argc, argv);
}
