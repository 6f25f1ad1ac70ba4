// SPDX-License-Identifier: LGPL-2.1-or-later
#include "engine/families/magi1/video.h"

#include <ATen/ATen.h>
#include <algorithm>
#include <map>
#include <span>

#include "engine/cache/changing_policy.h"
#include "engine/device.h"
#include "engine/families/magi1/published_caches.h"
#include "engine/families/magi1/settings.h"
#include "engine/sampler/noise.h"
#include "engine/session/device_errors.h"

namespace mc::magi1 {
namespace {

using session::Meter;
using session::Request;
using session::Stats;
using sampler::clock;
using sampler::since;
using SharedText = std::shared_ptr<const magi_dit::Text>;

struct MagiVideo final : session::Video {
    MagiVideo(const Model& model, Request request);
    const session::Outline& outline() const override { return outline_; }
    bool step(Meter& meter) override;
    std::optional<session::FinishedFrames> take(Meter& meter) override;
    networks::CallCount calls() const override { return passes ? passes->calls() : networks::CallCount{}; }
    void check_cache(const CacheFields& asked) const override { cache_of(asked); }

    const Model& model;
    Request request;
    VideoSettings settings;
    session::Outline outline_{};
    const vit_vae::Tiles tiles;
    int64_t h, w; // of the latents

    SharedText caption, none;                // of chunks that start now; what stands for no caption
    std::map<int64_t, SharedText> durations; // by chunks that follow
    std::shared_ptr<const MadeWith> made_with;
    // What a chunk that has started reads and was made with, until it is delivered.
    struct Started {
        std::vector<SharedText> text;
        std::shared_ptr<const MadeWith> with;
    };
    std::map<int64_t, Started> started;

    at::Tensor prefix; // [C, given, h, w]
    std::unique_ptr<magi_dit::Passes> passes;
    std::unique_ptr<cache::ChangingPolicy> policy;
    std::unique_ptr<Sampler> sampler;
    sampler::Timing timing;
    double text_seconds = 0;
    int64_t text_flop = 0, vae_flop = 0;
    int64_t taken = 0;              // chunks handed out
    sampler::ChunkCount last_count; // of the last one

    int branches() const { return settings.sampler.guides.empty() ? 1 : 3; }
    const Stages& stages() const { return settings.sampler.stages; }
    void trace(const std::string& name, const at::Tensor& value) const {
        if (request.trace) request.trace(name, value);
    }
    SharedText text_of(const at::Tensor& rows);
    SharedText encode(const std::string& prompt);
    void encode_text(Meter& meter);
    void tell_text(Meter& meter, clock::time_point start);
    void start(int64_t chunk, Meter& meter);
    void follow_changes(int64_t chunk, Meter& meter);
    cache::AnySettings cache_of(const CacheFields& asked) const;
    at::Tensor encode_given(std::span<const sampler::Image> pictures);
    at::Tensor noise(int64_t chunk) const;
    void begin(Meter& meter);
    void step_row(Meter& meter);
    int64_t first_frame(int64_t chunk) const {
        return std::max<int64_t>(0, LATENT * (chunk * CHUNK - settings.hidden));
    }
};

MagiVideo::MagiVideo(const Model& m, Request r)
    : model(m), request(std::move(r)), settings(complete(request, model.planned().facts)),
      tiles(tiles_of(model.folder.runtime)), h(settings.height / 8), w(settings.width / 8) {
    const SamplerSettings& s = settings.sampler;
    policy = std::make_unique<cache::ChangingPolicy>(s.cache);
    policy->observe(request.decisions);
    const bool ends = s.stages.chunks.has_value();
    outline_.seed = settings.seed;
    outline_.width = settings.width;
    outline_.height = settings.height;
    outline_.frames = settings.num_frames;
    // Those of which all frames are given are not delivered.
    outline_.chunks = ends ? *s.stages.chunks - s.stages.given : -1;
    outline_.forwards = ends ? *s.stages.rows() * branches() : -1;
    outline_.cache = s.cache.kind();
    outline_.window_chunks = 1; // each is a window by itself: all take as long
    outline_.changes = true;
    outline_.guided = branches() > 1 && settings.guidance_scale > 0;
    MadeWith with{0, settings.prompt, "", settings.guidance_scale};
    cache::set_cache(with, s.cache);
    made_with = std::make_shared<const MadeWith>(with);
    session::make_room(
        {[&](session::TextEncoder& encoder) {
             return text_known(encoder, *model.tokenizer, model.folder.transformer.text_rows, settings);
         },
         [&](const session::Parts& parts) { return plan_memory(settings, model.planned(parts)); },
         [&](const session::Parts& parts, int64_t free) { return what_fits(request, model.planned(parts), free); }},
        model.movable(), request.cancel, outline_);
}

// ---- text ----

SharedText MagiVideo::text_of(const at::Tensor& rows) {
    return model.transformer->text(rows.to(model.placement.device), request.cancel);
}

// With its special tokens, all but the duration.
SharedText MagiVideo::encode(const std::string& prompt) {
    size_t all = 0;
    const int64_t most = model.folder.transformer.text_rows;
    const std::vector<int64_t> ids = caption_ids(prompt, *model.tokenizer, most, &all);
    if (all > ids.size() && model.log)
        model.log(2, "The prompt has " + std::to_string(all) + " tokens and the model reads " +
                         std::to_string(ids.size()) +
                         ", the end token counted in both: what comes after them is not used; shorten it.");
    session::TextEncoder::Use encoder(*model.text_encoder);
    const auto [rows, flop] = encoder.encode(ids, request.cancel, request.reading);
    text_flop += flop;
    trace("prompt_ids", at::tensor(ids));
    trace("prompt_embeds", rows);
    const Caption whole{rows, at::ones({rows.size(0)}, at::kBool)};
    return text_of(with_tokens(whole, settings.tokens, model.tokens, most).counting());
}

void MagiVideo::tell_text(Meter& meter, clock::time_point start) {
    text_seconds += since(start);
    meter.update([&](Stats& s) {
        s.seconds_text = text_seconds;
        s.flop_text = text_flop;
        s.bytes_weights = model.bytes();
    });
}

void MagiVideo::encode_text(Meter& meter) {
    const auto start = clock::now();
    const at::Tensor null = model.transformer->null_caption().to(at::kCPU);
    none = text_of(null_text(null, settings.tokens, model.tokens).counting());
    caption = encode(settings.prompt);
    tell_text(meter, start);
}

// What a chunk that starts is made with, and those after it.
void MagiVideo::follow_changes(int64_t chunk, Meter& meter) {
    const auto due = request.changes ? request.changes->due(first_frame(chunk)) : std::nullopt;
    if (!due) return;
    const auto start = clock::now();
    MadeWith now = *made_with;
    now.update = due->update;
    const Change& change = due->change;
    if (change.prompt) {
        if (says_something(*change.prompt)) {
            now.prompt = *change.prompt;
            caption = encode(now.prompt);
        } else if (model.log) {
            model.log(
                2,
                "Nothing is left of the new prompt once addresses, numbers and the like are taken out of it: the old "
                "one stays; describe the video in words.");
        }
    }
    if (change.guidance_scale) now.guidance_scale = *change.guidance_scale;
    if (due->cache) {
        const cache::AnySettings next = cache_of(*due->cache);
        policy->change(int(chunk), next);
        cache::set_cache(now, next);
        meter.update([&](Stats& s) { s.cache = now.cache; });
    }
    made_with = std::make_shared<const MadeWith>(now);
    tell_text(meter, start);
}

// Of the request there is read what does not change: from any thread.
cache::AnySettings MagiVideo::cache_of(const CacheFields& asked) const {
    const cache::AnySettings next = request.cache_settings
                                        ? cache::with_request(*request.cache_settings, asked)
                                        : choose_cache(asked, branches(), settings.cache_unasked);
    cache::check_change(settings.sampler.cache, next);
    compression_of(request, next); // refuses a cache that it does not go with
    return next;
}

void MagiVideo::start(int64_t chunk, Meter& meter) {
    follow_changes(chunk, meter);
    Started& now = started[chunk];
    now.with = made_with;
    // A stream without end always lasts the longest.
    const int64_t following = stages().chunks ? *stages().chunks - 1 - chunk : SpecialTokens::DURATIONS;
    SharedText& duration = durations[std::min(following, SpecialTokens::DURATIONS - 1)];
    if (settings.tokens.duration && !duration)
        duration = text_of(duration_token(settings.tokens, model.tokens, following));
    if (duration) now.text.push_back(duration);
    now.text.push_back(caption);
}

// ---- beginning ----

// [C, latent frames, h, w], of one picture or of whole latent frames.
at::Tensor MagiVideo::encode_given(std::span<const sampler::Image> pictures) {
    at::Tensor video = at::empty({3, int64_t(pictures.size()), settings.height, settings.width}, at::kFloat);
    for (size_t i = 0; i < pictures.size(); i++) {
        std::vector<float> pixels = sampler::image_to_pixels(pictures[i], settings.width, settings.height);
        video.select(1, int64_t(i))
            .copy_(at::from_blob(pixels.data(), {3, settings.height, settings.width},
                                 at::TensorOptions(at::kFloat)));
    }
    return model.vae->encode(video, tiles, request.cancel, &vae_flop) * model.folder.runtime.scale;
}

// [C, frames, h, w] on the model's device: the same numbers on every one, by their place in the video.
at::Tensor MagiVideo::noise(int64_t chunk) const {
    const int64_t C = model.folder.transformer.latent_channels();
    if (request.initial_noise)
        return request.initial_noise(int(chunk), {C, CHUNK, h, w}).to(model.placement.device);
    at::Tensor all = at::empty({C, CHUNK, h, w}, at::kFloat), frame = at::empty({C, h, w}, at::kFloat);
    for (int64_t f = 0; f < CHUNK; f++) {
        sampler::normal_noise({settings.seed, sampler::Purpose::INITIAL, 0, uint32_t(chunk * CHUNK + f), 0},
                              frame.mutable_data_ptr<float>(), size_t(frame.numel()));
        all.select(1, f).copy_(frame);
    }
    return upload(all, model.placement.device);
}

void MagiVideo::begin(Meter& meter) {
    const auto start = clock::now();
    if (settings.given) {
        const size_t seen = size_t(settings.given) * LATENT;
        if (request.image)
            prefix = encode_given({&*request.image, 1});
        else
            prefix = encode_given(std::span(request.prefix_video->frames).last(seen));
        trace("given_latents", prefix);
        request.image.reset(), request.prefix_video.reset();
        meter.update([&](Stats& s) { s.seconds_vae += since(start), s.flop_vae = vae_flop; });
    }
    passes = std::make_unique<magi_dit::Passes>(
        *model.transformer,
        magi_dit::Passes::Shape{CHUNK, int(h), int(w), Sampler::at_once(settings.sampler)});
    Captions captions{[this](int64_t chunk) {
                          std::vector<const magi_dit::Text*> list;
                          for (const SharedText& text : started.at(chunk).text) list.push_back(text.get());
                          return list;
                      },
                      none.get(),
                      [this](int64_t chunk) {
                          return outline_.guided
                                     ? started.at(chunk).with->guidance_scale / settings.guidance_scale
                                     : 1;
                      }};
    sampler = std::make_unique<Sampler>(
        *passes, CHUNK, settings.sampler, std::move(captions), *policy,
        [this](int64_t chunk) { return noise(chunk); }, prefix);
}

// ---- rows ----

void MagiVideo::step_row(Meter& meter) {
    const StageRow row = stages().row(sampler->row());
    for (int64_t chunk = row.begin; chunk < row.end; chunk++)
        if (!started.count(chunk)) start(chunk, meter);
    std::function<void(const sampler::Turn&)> observe;
    if (request.turns) observe = [&](const sampler::Turn& turn) { request.turns(0, turn); };
    sampler->step(request.cancel, request.trace, timing, observe);
    meter.update([&](Stats& s) {
        s.forwards += branches();
        s.seconds_transformer = timing.transformer;
        s.seconds_cache = timing.cache;
        s.seconds_schedule = timing.schedule;
        s.count = sampler->count();
        // Of the oldest chunk on its way, which is delivered next; one that has left now is taken before the next row.
        s.step = stages().step(row, row.begin) + 1;
        s.steps = stages().steps;
        s.flop_transformer = passes->flop();
    });
    if (settings.sampler.passes_finished &&
        stages().passes_finished(row)) { // the last one handed out, once more
        last_count.extra++;
        meter.recount(size_t(taken - 1), last_count);
    }
}

bool MagiVideo::step(Meter& meter) {
    if (!caption)
        encode_text(meter);
    else if (!sampler)
        begin(meter);
    else if (sampler->done())
        return false;
    else
        step_row(meter);
    return true;
}

std::optional<session::FinishedFrames> MagiVideo::take(Meter& meter) {
    auto finished = sampler ? sampler->take() : std::nullopt;
    if (!finished) return std::nullopt;
    const auto start = clock::now();
    const int64_t begin = finished->chunk * CHUNK,
                  given = std::clamp<int64_t>(settings.given - begin, 0, CHUNK);
    at::Tensor latents = finished->latents;
    // What is given is shown as it was given, not as the last step moved it.
    if (given > 0) {
        latents = latents.clone();
        latents.narrow(1, 0, given).copy_(prefix.narrow(1, begin, given));
    }
    session::check_latents(latents, model.placement.precision);
    trace("latents.c" + std::to_string(finished->chunk), latents);
    const at::Tensor frames =
        model.vae->decode(latents / model.folder.runtime.scale, tiles, request.cancel, &vae_flop)
            .to(at::kCPU);
    meter.update([&](Stats& s) {
        s.seconds_vae += since(start);
        s.flop_vae = vae_flop;
    });
    last_count = finished->count;
    taken++;
    const auto with = started.at(finished->chunk).with;
    started.erase(started.begin(), started.upper_bound(finished->chunk));
    const int64_t hidden = LATENT * std::clamp<int64_t>(settings.hidden - begin, 0, CHUNK);
    auto map = std::make_shared<const sampler::TokenMap>(std::move(finished->map));
    return session::FinishedFrames{frames.slice(1, hidden), finished->count, with, std::move(map)};
}

} // namespace

std::unique_ptr<session::Video> begin_video(const Model& model, session::Request request) {
    return std::make_unique<MagiVideo>(model, std::move(request));
}

} // namespace mc::magi1
