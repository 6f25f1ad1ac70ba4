// SPDX-License-Identifier: LGPL-2.1-or-later
// MAGI-1 behind the session: a folder of random weights, from its JSON file to frames.
#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>
#include <fstream>
#include <unistd.h>

#include "engine/families/magi1/settings.h"
#include "engine/model/model_folder.h"
#include "engine/processor.h"
#include "engine/sampler/noise.h"
#include "tests/families/magi1/small_video.h"

using namespace mc;
using namespace mc::test;

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

        const magi1::VideoSettings s = magi1::complete(request, m.planned().facts);
        const auto& config = m.folder.transformer;
        const at::Tensor rows = session::TextEncoder::Use(*m.text_encoder)
                                    .encode(magi1::caption_ids(s.prompt, *m.tokenizer, config.text_rows), {})
                                    .rows;
        const magi1::Caption caption{rows, at::ones({rows.size(0)}, at::kBool)};
        const auto text =
            m.transformer->text(with_tokens(caption, {}, m.tokens, config.text_rows).counting());
        const auto none =
            m.transformer->text(null_text(m.transformer->null_caption(), {}, m.tokens).counting());
        std::vector<std::shared_ptr<const magi_dit::Text>> durations;
        for (int following = 2; following >= 0; following--)
            durations.push_back(m.transformer->text(duration_token({}, m.tokens, following)));
        magi_dit::Passes passes(*m.transformer, {6, 4, 6, magi1::Sampler::at_once(s.sampler)});
        const auto policy = cache::make_policy(s.sampler.cache);
        magi1::Sampler sampler(passes, 6, s.sampler,
                               {[&](int64_t chunk) {
                                    return std::vector{durations[size_t(chunk)].get(), text.get()};
                                },
                                none.get()},
                               *policy, [&](int64_t chunk) {
                                   std::vector<at::Tensor> frames;
                                   for (uint32_t f = 0; f < 6; f++) {
                                       at::Tensor frame = at::empty({config.latent_channels(), 4, 6});
                                       sampler::normal_noise(
                                           {5, sampler::Purpose::INITIAL, 0, uint32_t(chunk) * 6 + f, 0},
                                           frame.mutable_data_ptr<float>(), size_t(frame.numel()));
                                       frames.push_back(frame);
                                   }
                                   return at::stack(frames, 1);
                               });
        std::vector<at::Tensor> by_hand, pictures;
        sampler::Timing timing;
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

// The state keeps a given picture as the last step moved it; what is shown is the picture.
TEST(a_video_begins_with_its_image) {
    Request r = small(48);
    r.image = sampler::Image{48, 32, {}};
    for (int i = 0; i < 48 * 32 * 3; i++) r.image->rgb.push_back(uint8_t(i * 7 % 251));
    for (const Opened* opened : {&distilled(), &base()}) {
        at::Tensor latent, first;
        r.trace = [&](const std::string& name, const at::Tensor& value) {
            if (name == "given_latents") latent = value;
            if (name == "latents.c0") first = value;
        };
        const Made made = make(*opened, r);
        CHECK(lengths(made) == (std::vector<int64_t>{24, 24}));
        CHECK(latent.size(1) == 1 && at::equal(first.narrow(1, 0, 1), latent));
        Request other = small(48);
        CHECK(!at::equal(whole(make(*opened, other)).narrow(1, 4, 44), whole(made).narrow(1, 4, 44)));
    }
}

// What is given is not delivered, and neither is any of it twice.
TEST(a_video_goes_on_from_another) {
    const auto clip = [](int frames) {
        sampler::Clip c;
        for (int i = 0; i < frames; i++)
            c.frames.push_back({48, 32, std::vector<uint8_t>(48 * 32 * 3, uint8_t(5 * i))});
        return c;
    };
    for (int given : {32, 45, 8, 5}) {
        Request r = small(60);
        r.prefix_video = clip(given);
        at::Tensor prefix;
        std::vector<at::Tensor> latents;
        r.trace = [&](const std::string& name, const at::Tensor& value) {
            if (name == "given_latents") prefix = value;
            if (name.starts_with("latents.c")) latents.push_back(value);
        };
        const int seen = std::min(given, 32) / 4, whole_chunks = seen / 6, left = seen % 6;
        const Made made = make(distilled(), r);
        CHECK_EQ(prefix.size(1), seen);
        CHECK_EQ(whole(made).size(1), 60);
        CHECK_EQ(made.chunks[0].size(1), 24 - 4 * left);
        CHECK_EQ(made.stats.count.extra > 0, true);
        if (left) CHECK(at::equal(latents[0].narrow(1, 0, left), prefix.narrow(1, 6 * whole_chunks, left)));
        // It is gone on from: other pictures before, another video.
        for (sampler::Image& frame : r.prefix_video->frames)
            std::fill(frame.rgb.begin(), frame.rgb.end(), uint8_t(200));
        CHECK(!at::equal(whole(make(distilled(), r)), whole(made)));
    }
    Request r = small(24);
    r.prefix_video = clip(3);
    CHECK_ERROR(Session(distilled().model, r), MC_ERROR_SETTINGS, "prefix-video has 3 frames");
    r.prefix_video = clip(0);
    CHECK_ERROR(Session(distilled().model, r), MC_ERROR_SETTINGS, "prefix-video has 0 frames");
    r.prefix_video = clip(24);
    r.prefix_video->frame_rate_n = 30;
    CHECK_ERROR(Session(distilled().model, r), MC_ERROR_SETTINGS,
                "prefix-video has 30/1 frames per second and the model makes 24");
    r.prefix_video->frame_rate_n = 24;
    r.image = sampler::Image{16, 16, std::vector<uint8_t>(16 * 16 * 3, 9)};
    CHECK_ERROR(Session(distilled().model, r), MC_ERROR_SETTINGS, "image and prefix-video both say");
    // Three branches, and without end.
    r.image.reset();
    r.num_frames = magi1::ENDLESS;
    CHECK_EQ(make(base(), r, 3).chunks.size(), size_t(3));
}

TEST(special_tokens_are_what_they_are_called) {
    Request r = small(24);
    const at::Tensor usual = whole(make(distilled(), r));
    r.special_tokens = " duration + hq";
    CHECK(at::equal(whole(make(distilled(), r)), usual));
    std::vector<at::Tensor> others{usual};
    for (const char* names : {"none", "hq", "borders+3d-model", "negative"}) {
        r.special_tokens = names;
        others.push_back(whole(make(base(), r)));
        for (size_t i = 0; i + 1 < others.size(); i++) CHECK(!at::equal(others[i], others.back()));
    }
    r.special_tokens = "hq+bright";
    CHECK_ERROR(Session(distilled().model, r), MC_ERROR_SETTINGS,
                "special-tokens names \"bright\", which is none of hq, duration");
}

TEST(a_stream_without_end_is_the_beginning_of_any_and_takes_no_more_memory) {
    for (bool cached : {false, true}) {
        Request endless = small(magi1::ENDLESS);
        if (cached)
            endless.cache.kind = CacheKind::MOTIONCACHE, endless.cache.warmup = 2,
            endless.cache.threshold = 0.02;
        Session session(distilled().model, endless);
        const session::Stats begun = session.stats();
        CHECK(begun.frames_total == -1 && begun.chunks_total == -1 && begun.forwards_total == -1);
        at::Tensor frames;
        const auto pass = [&](int chunks) {
            for (int i = 0; i < chunks; i++) {
                const auto next = session.next();
                CHECK(next && next->pixels.size(1) == 24);
                if (next->first == 0) frames = next->pixels;
            }
        };
        pass(12);
        const auto resident = [] {
            std::ifstream file("/proc/self/statm");
            int64_t all = 0, pages = 0;
            file >> all >> pages;
            return pages * sysconf(_SC_PAGESIZE);
        };
        const int64_t before = resident();
        const size_t shapes = session.calls().counts().size();
        pass(40);
        const int64_t grown = resident() - before;
        std::printf("     40 chunks: %+.2f MiB\n", double(grown) / (1 << 20));
        CHECK(grown < int64_t(8) << 20);
        if (!cached) CHECK_EQ(session.calls().counts().size(), shapes);
        CHECK_EQ(session.stats().chunks, 52);
        // The duration of a long video is told as that of one without end.
        Request finite = endless;
        finite.num_frames = 24 * 12;
        CHECK(at::equal(make(distilled(), finite, 1).chunks.at(0), frames));
        CHECK_EQ(begun.bytes_planned, Session(distilled().model, finite).stats().bytes_planned);
    }
}

TEST(a_prompt_changes_at_the_border_of_a_chunk) {
    Request r = small(24 * 6);
    const Made before = make(distilled(), r);
    Session session(distilled().model, r);
    std::vector<session::Frames> chunks;
    chunks.push_back(*session.next());
    Fields wanted;
    wanted.prompt = "a white boat moving left on the sea";
    CHECK_EQ(session.update(wanted), 1);
    while (auto next = session.next()) chunks.push_back(*next);
    CHECK_EQ(chunks.size(), size_t(6));
    // Chunks 1, 2 and 3 are on their way when the first one leaves; the next that starts is the fourth.
    for (size_t c = 0; c < chunks.size(); c++) {
        CHECK_EQ(chunks[c].made_with->update, c < 4 ? 0 : 1);
        CHECK_EQ(chunks[c].made_with->prompt, c < 4 ? *r.prompt : *wanted.prompt);
    }
    CHECK(at::equal(chunks[0].pixels, before.chunks[0]));
    CHECK(!at::equal(chunks[4].pixels, before.chunks[4]));
    // At once with the prompt that was changed to: not the same, for the chunks before are others.
    wanted.prompt = "  ";
    CHECK_ERROR(session.update(wanted), MC_ERROR_SETTINGS, "new prompt is empty");
}

TEST(guidance_scales_the_table_of_the_model) {
    Request r = small(24);
    const at::Tensor as_published = whole(make(base(), r));
    r.guidance_scale = 7.5;
    CHECK(at::equal(whole(make(base(), r)), as_published));
    r.guidance_scale = 3;
    const at::Tensor weaker = whole(make(base(), r));
    CHECK(!at::equal(weaker, as_published));
    const auto guides = magi1::guides_of(base().model->folder.runtime, 3.0);
    CHECK(guides.size() == 5 && guides[0].text == 3 && guides[0].previous == 1.5 && guides[4].text == 0);
    CHECK_EQ(make(base(), r).stats.forwards, 3 * 8);
    // Changed while it is made, from a chunk on.
    Session session(base().model, small(24 * 6));
    Fields wanted;
    wanted.guidance_scale = 3;
    session.next();
    session.update(wanted);
    int64_t with = 0;
    while (auto next = session.next()) with += next->made_with->guidance_scale == 3;
    CHECK_EQ(with, 2);
}

TEST(what_cannot_be_is_refused_by_name) {
    const auto refused = [](const Opened& opened, const char* text, auto change) {
        Request r = small(24);
        change(r);
        CHECK_ERROR(Session(opened.model, r), MC_ERROR_SETTINGS, text);
    };
    refused(distilled(), "No prompt", [](Request& r) { r.prompt.reset(); });
    refused(distilled(), "Nothing is left of the prompt",
            [](Request& r) { r.prompt = "http://example.com/"; });
    refused(distilled(), "width is 16 but must be from 32", [](Request& r) { r.width = 16; });
    refused(distilled(), "height 40 is not a multiple of 16; the nearest are 32 and 48",
            [](Request& r) { r.height = 40; });
    refused(distilled(), "steps is 10, which this distilled model was not trained for",
            [](Request& r) { r.steps = 10; });
    refused(base(), "steps is 10, which is not a multiple of the 4 chunks", [](Request& r) { r.steps = 10; });
    refused(distilled(), "12 steps come in threes", [](Request& r) { r.steps = 12, r.ar_step = 2; });
    refused(distilled(), "ar-step is 3 but must divide steps, which is 8", [](Request& r) { r.ar_step = 3; });
    refused(distilled(), "causal-block-size is for SkyReels-V2, not for MAGI-1",
            [](Request& r) { r.causal_block_size = 3; });
    refused(distilled(), "guidance-scale has no effect on this distilled model",
            [](Request& r) { r.guidance_scale = 6; });
    refused(distilled(), "finished-chunks=frozen goes with a cache",
            [](Request& r) { r.finished_chunks = FinishedChunks::FROZEN; });
    refused(distilled(), "cache-threshold is set but nothing is cached",
            [](Request& r) { r.cache.threshold = 0.1; });
    refused(distilled(), "cache-vote belongs to cache=motioncache",
            [](Request& r) { r.cache.kind = CacheKind::TEACACHE, r.cache.vote = 0.5; });
    refused(distilled(), "cache-preset=fast is not known for MAGI-1",
            [](Request& r) { r.cache.kind = CacheKind::MOTIONCACHE, r.cache.preset = CachePreset::FAST; });
    refused(distilled(), "cache-reuse=taylor",
            [](Request& r) { r.cache.kind = CacheKind::FLOWCACHE, r.cache.reuse = CacheReuse::TAYLOR; });
    for (auto kind : {CacheKind::TEACACHE, CacheKind::FLOWCACHE, CacheKind::MOTIONCACHE})
        refused(base(), "is for a distilled MAGI-1, which computes one branch",
                [&](Request& r) { r.cache.kind = kind; });
    refused(distilled(), "kv-precision is for SkyReels-V2, not for MAGI-1: drop it; ",
            [](Request& r) { r.kv_precision = StoredPrecision::INT8; });
    session::LoadOptions in_bytes = options();
    in_bytes.weights_in_bytes = true;
    const char* text = "weights-precision is for SkyReels-V2, not for MAGI-1: drop it; ";
    CHECK_ERROR(session::open_family(distilled().config, in_bytes), MC_ERROR_SETTINGS, text);
    CHECK_ERROR(session::check_early(distilled().config, in_bytes, small()), MC_ERROR_SETTINGS, text);
    const Opened unbounded({.noise2clean = {}});
    refused(unbounded, "set kv-budget=1", [](Request& r) { r.num_frames = magi1::ENDLESS; });
    CHECK_EQ(whole(make(unbounded, small(30))).size(1), 30);
    refused(distilled(), "kv-queries=chunk is set but no keys are compressed",
            [](Request& r) { r.kv_queries = KvQueries::CHUNK; });
    refused(distilled(), "kv-budget is 2, and cache=motioncache computes tokens",
            [](Request& r) { r.kv_budget = 2, r.cache.kind = CacheKind::MOTIONCACHE; });
    refused(distilled(), "kv-budget", [](Request& r) { r.kv_budget = 0; });
}

TEST(windows_and_steps_are_those_asked_for) {
    Request r = small(48);
    r.ar_step = 8; // a window of one
    CHECK_EQ(make(distilled(), r).stats.forwards, 16);
    r.ar_step = 4;
    CHECK_EQ(make(distilled(), r).stats.forwards, 12);
    r.ar_step.reset();
    for (int steps : {12, 16, 32}) {
        r.steps = steps;
        CHECK_EQ(make(distilled(), r).stats.forwards, steps / 4 * 5);
    }
}

// Weights of eight bits in layers between the first and the last, and the larger kind of network.
TEST(folders_of_the_other_kinds_make_videos) {
    for (const test::SmallMagi1& kind : {test::SmallMagi1{.fp8 = true}, test::SmallMagi1{.large = true},
                                         test::SmallMagi1{.distilled = false, .large = true},
                                         test::SmallMagi1{.large = true, .fp8 = true}}) {
        const Opened opened(kind);
        Request r = small(30);
        const Made made = make(opened, r);
        CHECK(lengths(made) == (std::vector<int64_t>{24, 6}));
        CHECK(whole(made).isfinite().all().item<bool>() && whole(made).std().item<double>() > 0.01);
        CHECK_EQ(made.stats.forwards, int64_t(opened.model->folder.runtime.branches) * 2 * 5);
        CHECK_EQ(opened.model->folder.transformer.fp8, kind.fp8);
        r.seed = 6;
        CHECK(!at::equal(whole(made), whole(make(opened, r))));
    }
}

// Between the tiles of a picture, once the latents are there.
TEST(cancelling_ends_a_video_within_its_pictures) {
    McCancel token;
    Request r = small(24);
    r.width = 96, r.height = 64; // tiles of 32 pixels
    r.cancel = Cancel(&token);
    bool sampled = false;
    r.trace = [&](const std::string& name, const at::Tensor&) {
        if (name == "latents.c0") sampled = token.set = true;
    };
    Session session(distilled().model, r);
    CHECK_ERROR(session.next(), MC_CANCELLED, "Cancelled");
    CHECK(sampled);
    CHECK_EQ(session.stats().frames, 0);
}

TEST(cancelling_ends_a_video_within_a_row) {
    McCancel token;
    Request r = small(24 * 4);
    r.cancel = Cancel(&token);
    int rows = 0;
    r.trace = [&](const std::string& name, const at::Tensor&) {
        if (name == "steps.latents" && ++rows == 3) token.set = true;
    };
    Session session(distilled().model, r);
    CHECK_ERROR(session.next(), MC_CANCELLED, "Cancelled");
    CHECK_EQ(rows, 3);
    session::LoadOptions o = options();
    o.cancel = Cancel(&token);
    CHECK_ERROR(Model::open(distilled().config, o), MC_CANCELLED, "Cancelled");
}

int main(int argc, char** argv) {
    const c10::InferenceMode inference;
    set_thread_count(1);
    return test::run_tests(argc, argv);
}
