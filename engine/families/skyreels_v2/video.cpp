// SPDX-License-Identifier: LGPL-2.1-or-later
#include "engine/families/skyreels_v2/video.h"

#include <ATen/ATen.h>
#include <algorithm>
#include <tuple>

#include "engine/cache/changing_policy.h"
#include "engine/cache/coarse_schedule.h"
#include "engine/device.h"
#include "engine/families/skyreels_v2/cache_choice.h"
#include "engine/families/skyreels_v2/diffusion_forcing.h"
#include "engine/families/skyreels_v2/inputs.h"
#include "engine/families/skyreels_v2/published_caches.h"
#include "engine/families/skyreels_v2/window_plans.h"
#include "engine/families/skyreels_v2/windows.h"
#include "engine/networks/wan_dit/text_context.h"
#include "engine/sampler/noise.h"
#include "engine/session/device_errors.h"
#include "engine/session/memory.h"
#include "engine/text/prompt_cleaning.h"

namespace mc::skyreels_v2 {
namespace {

using session::check_memory;
using session::Meter;
using session::Request;
using session::Stats;
using sampler::clock;
using sampler::since;

struct SkyReelsVideo final : session::Video {
    SkyReelsVideo(const Model& model, Request request);
    const session::Outline& outline() const override { return outline_; }
    bool step(Meter& meter) override;
    std::optional<session::FinishedFrames> take(Meter& meter) override;
    networks::CallCount calls() const override;
    void check_cache(const CacheFields& asked) const override { cache_of(asked); }

    const Model& model;
    Request request;
    VideoSettings settings;
    session::Outline outline_{};
    Windows windows;
    int64_t h, w; // of the latents

    // A prompt, and on its way from one to another: what chunks that start now are told.
    struct Wording {
        at::Tensor from, to, now; // [tokens, text width]: embeddings
        std::shared_ptr<const wan_dit::TextContext> context;
    };
    Wording text, text_negative;
    int transition = 0, passed = 0; // of how many blended chunks, and how many have started
    std::shared_ptr<const MadeWith> made_with;
    std::vector<std::shared_ptr<const MadeWith>> chunk_made_with; // of the window's chunks
    int64_t handed_out = 0, window_begin = 0; // frames: so far, and when the window began
    std::unique_ptr<wan_dit::Window> window; // kept while the next one has the same shape
    wan_dit::Window::Shape window_shape{};
    std::unique_ptr<cache::ChangingPolicy> policy;
    std::unique_ptr<WindowSampler> sampler;
    std::unique_ptr<wan_vae::DecoderStream> decoder;
    size_t index = 0; // of the window being sampled
    int decoded = 0;  // leading latent frames of it that were decoded
    // Its chunks among those handed out: number there, index in counts().
    std::vector<std::pair<size_t, size_t>> shown;
    int64_t skip = 0; // frames of the window's decoder still to drop: the overlap
    size_t taken = 0; // chunks handed out
    double text_seconds = 0;
    int64_t text_flop = 0;
    // [3, n, H, W]: the last overlap_history frames delivered, when the next window needs them
    at::Tensor history;
    at::Tensor latent_history;                // [C, overlap, h, w]
    std::vector<at::Tensor> finished_latents; // for the trace of a whole video
    sampler::Timing timing;
    sampler::ChunkCount finished_count;  // of the windows that are gone
    networks::CallCount window_calls;    // of the windows that are gone
    int64_t decoder_flop = 0;            // of the decoders that are gone

    wan_dit::Window::Shape shape(size_t i) const { return shape_of(settings, windows, i, h, w); }
    bool pixel_windows() const {
        return settings.length.windows.size() > 1 && settings.long_video == LongVideo::PIXEL;
    }
    void make_room_in_ranks();
    at::Tensor embed(session::TextEncoder::Use& encoder, const std::string& prompt, const char* name,
                     const char* property);
    void encode_text(Meter& meter);
    void set_context(Wording& wording);
    int64_t first_frame(int chunk) const;
    bool waits_for_prompt(int chunk, Meter& meter);
    void follow_changes(int chunk, Meter& meter);
    void change_prompts(const Change& change);
    cache::AnySettings cache_of(const CacheFields& asked) const;
    Guidance guidance() const { return {text.context, text_negative.context, made_with->guidance_scale}; }
    at::Tensor encode_picture(const sampler::Image& image, const char* name);
    at::Tensor noise(sampler::Purpose purpose, int window, int64_t frames, int row) const;
    at::Tensor initial_latents();
    void begin_window(Meter& meter);
    void step_row(Meter& meter);
    std::pair<int, int> steps_of_next() const;
    void log_cache_schedule();
    void trace_keys_values();
    void end_window();
    at::Tensor decode(int begin, int end, Meter& meter);
    void trace(const std::string& name, const at::Tensor& value) const {
        if (request.trace) request.trace(name, value);
    }
};

SkyReelsVideo::SkyReelsVideo(const Model& m, Request r) : model(m), request(std::move(r)) {
    settings = complete(request, model);
    h = settings.height / model.vae_config.spatial_factor;
    w = settings.width / model.vae_config.spatial_factor;
    policy = std::make_unique<cache::ChangingPolicy>(settings.cache);
    policy->observe(request.decisions);
    windows = plan_windows(settings, inputs_of(request).grid, request.cancel);
    outline_.forwards = windows.forwards;
    outline_.chunks = windows.chunks;
    outline_.seed = settings.seed;
    outline_.frames = settings.num_frames;
    outline_.width = settings.width;
    outline_.height = settings.height;
    outline_.cache = settings.cache.kind();
    const int64_t window_latents = windows.count > 1 ? settings.length.windows[1] - overlap_latents(settings, 1)
                                                     : settings.length.latent_frames;
    outline_.window_chunks = int(std::max<int64_t>(1, window_latents / settings.causal_block_size));
    outline_.changes = true;
    outline_.guided = settings.guidance_scale > 1;
    MadeWith with{0, settings.prompt, settings.negative_prompt, settings.guidance_scale};
    cache::set_cache(with, settings.cache);
    made_with = std::make_shared<const MadeWith>(with);
    session::make_room(
        {[&](session::TextEncoder& encoder) {
             return texts_known(encoder, *model.tokenizer, model.byte_fallback, model.transformer_config.text_rows,
                                settings);
         },
         [&](const session::Parts& parts) { return plan_memory(settings, windows, model.planned(parts)); },
         [&](const session::Parts& parts, int64_t free) { return what_fits(request, model.planned(parts), free); }},
        model.movable(), request.cancel, outline_);
    if (model.transformer->workers()) make_room_in_ranks();
}

// The others, each on a device of its own, plan for themselves; where one is short of memory no video begins.
void SkyReelsVideo::make_room_in_ranks() {
    wan_dit::Workers& workers = *model.transformer->workers();
    std::vector<wan_dit::Window::Shape> shapes;
    for (size_t i : windows.different) shapes.push_back(shape(i));
    const wan_dit::Spread spread =
        wan_dit::spread_over(model.ranks, shapes.front().branches, model.transformer_config.heads);
    const std::vector<wan_dit::Room> rooms = workers.room(spread, shapes, request.cancel);
    for (size_t i = 0; i < rooms.size(); i++)
        check_memory(rooms[i].needed, rooms[i].free, workers.group().name(int(i) + 1) + ": This request",
                     [&](int64_t free) {
                         Planned there = model.planned();
                         there.rank = int(i) + 1;
                         there.device = there.text_device = rooms[i].device;
                         return what_fits(request, there, free + rooms[i].more);
                     },
                     rooms[i].device);
}

at::Tensor SkyReelsVideo::embed(session::TextEncoder::Use& encoder, const std::string& prompt, const char* name,
                                const char* property) {
    size_t all = 0;
    auto ids = model.tokenizer->encode(prompt, model.transformer_config.text_rows, model.byte_fallback, &all);
    if (all > ids.size() && model.log)
        model.log(2, std::string("The ") + property + " has " + std::to_string(all) + " tokens and the model reads " +
                         std::to_string(ids.size()) +
                         ", the end token counted in both: what comes after them is not used; shorten it.");
    const auto [embeds, flop] = encoder.encode(ids, request.cancel, request.reading);
    trace(std::string(name) + "_ids", at::tensor(ids));
    trace(std::string(name) + "_embeds", embeds);
    text_flop += flop;
    return embeds;
}

void SkyReelsVideo::set_context(Wording& wording) {
    wording.context = model.transformer->text_context(wording.now, request.cancel);
    text_flop += wording.context->flop;
}

void SkyReelsVideo::encode_text(Meter& meter) {
    auto start = clock::now();
    {
        session::TextEncoder::Use encoder(*model.text_encoder);
        text.now = text.to = embed(encoder, settings.prompt, "prompt", "prompt");
        if (settings.guidance_scale > 1)
            text_negative.now = text_negative.to =
                embed(encoder, settings.negative_prompt, "negative", "negative prompt");
    }
    set_context(text);
    if (text_negative.now.defined()) set_context(text_negative);
    text_seconds += since(start);
    meter.update([&](Stats& s) {
        s.seconds_text = text_seconds;
        s.flop_text = text_flop;
    });
}

// Of the video's frames the first that a chunk of this window gives.
int64_t SkyReelsVideo::first_frame(int chunk) const {
    const WindowPlan& plan = windows.plan(index);
    const int64_t latent = int64_t(chunk) * plan.chunk_frames;
    if (index && !pixel_windows()) return window_begin + 4 * std::max<int64_t>(0, latent - plan.prefix_frames);
    const int64_t frame = latent ? 4 * (latent - 1) + 1 : 0;
    return window_begin + std::max<int64_t>(0, frame - (index ? settings.overlap_history : 0));
}

// What a chunk that starts is made with, and those after it. While chunks of another prompt are under way a model goes
// on with their picture: the first chunk of a new one, and the first of it alone, waits until there are none.
bool SkyReelsVideo::waits_for_prompt(int chunk, Meter& meter) {
    const bool arrives = passed + 1 == transition; // at the end of a transition
    if (!sampler->under_way()) return false;
    if (!arrives && !(request.changes && request.changes->prompts_due(first_frame(chunk)))) return false;
    const int rows = sampler->hold_back();
    meter.update([&](Stats& s) {
        if (s.forwards_total >= 0) s.forwards_total += rows * windows.plan(index).branches();
    });
    return rows > 0;
}

void SkyReelsVideo::follow_changes(int chunk, Meter& meter) {
    const auto due = request.changes ? request.changes->due(first_frame(chunk), !sampler->under_way()) : std::nullopt;
    if (!due && passed >= transition) return;
    const auto start = clock::now();
    if (due) {
        MadeWith now = *made_with;
        now.update = due->update;
        const Change& change = due->change;
        if (change.prompt) now.prompt = text::clean_prompt(*change.prompt);
        if (change.negative_prompt) now.negative_prompt = text::clean_prompt(*change.negative_prompt);
        if (change.guidance_scale) now.guidance_scale = *change.guidance_scale;
        if (due->cache) {
            const cache::AnySettings next = cache_of(*due->cache);
            policy->change(chunk, next);
            cache::set_cache(now, next);
        }
        made_with = std::make_shared<const MadeWith>(now);
        change_prompts(change);
    }
    if (passed < transition) {
        // Padding is zeros, also for the text encoder's own rows.
        const auto padded = [](const at::Tensor& t, int64_t rows) {
            return at::constant_pad_nd(t, {0, 0, 0, rows - t.size(0)});
        };
        const double share = double(++passed) / transition;
        for (Wording* w : {&text, &text_negative}) {
            if (!w->from.defined()) continue;
            const int64_t rows = std::max(w->from.size(0), w->to.size(0));
            w->now = share < 1 ? padded(w->from, rows).lerp(padded(w->to, rows), share) : w->to;
            if (share >= 1) w->from = at::Tensor();
            set_context(*w);
        }
    }
    text_seconds += since(start);
    meter.update([&](Stats& s) {
        s.seconds_text = text_seconds;
        s.flop_text = text_flop;
        s.cache = made_with->cache;
    });
    sampler->guide(chunk, guidance());
}

// Of the request there is read what does not change: from any thread.
cache::AnySettings SkyReelsVideo::cache_of(const CacheFields& asked) const {
    const cache::AnySettings next =
        request.cache_settings
            ? cache::with_request(*request.cache_settings, asked)
            : choose_cache(asked, settings.attention, model.calibration ? &*model.calibration : nullptr,
                           model::skyreels_v2::published_caches(model.transformer_config));
    cache::check_change(settings.cache, next);
    return next;
}

// The way to new prompts begins where the old ones are just now. Without a transition it is one step long.
void SkyReelsVideo::change_prompts(const Change& change) {
    if (change.prompt_transition) settings.prompt_transition = *change.prompt_transition;
    if (!change.prompt && !change.negative_prompt) return;
    for (Wording* w : {&text, &text_negative})
        if (w->now.defined()) w->from = w->now;
    session::TextEncoder::Use encoder(*model.text_encoder);
    if (change.prompt) text.to = embed(encoder, made_with->prompt, "prompt", "prompt");
    if (change.negative_prompt && text_negative.now.defined())
        text_negative.to = embed(encoder, made_with->negative_prompt, "negative", "negative prompt");
    transition = settings.prompt_transition + 1;
    passed = 0;
}

at::Tensor SkyReelsVideo::encode_picture(const sampler::Image& image, const char* name) {
    std::vector<float> pixels = sampler::image_to_pixels(image, settings.width, settings.height);
    at::Tensor video = at::tensor(pixels).view({3, 1, settings.height, settings.width});
    at::Tensor latent = model.vae->encode(video, request.cancel);
    trace(name, latent);
    return latent;
}

// [C, frames, h, w] on the model's device: the same numbers on every one.
at::Tensor SkyReelsVideo::noise(sampler::Purpose purpose, int window, int64_t frames, int row) const {
    int64_t C = model.transformer_config.out_channels;
    at::Tensor noise = at::empty({C, frames, h, w}, at::kFloat), frame = at::empty({C, h, w}, at::kFloat);
    for (int64_t f = 0; f < frames; f++) {
        sampler::normal_noise({settings.seed, purpose, uint32_t(window), uint32_t(f), uint32_t(row)},
                              frame.mutable_data_ptr<float>(), frame.numel());
        noise.select(1, f).copy_(frame);
    }
    return upload(noise, model.placement.device);
}

at::Tensor SkyReelsVideo::initial_latents() {
    int64_t C = model.transformer_config.out_channels, frames = windows.plan(index).frames;
    if (!request.initial_noise)
        return noise(sampler::Purpose::INITIAL, int(index), frames, 0);
    return request.initial_noise(int(index), {C, frames, h, w}).to(model.placement.device).clone();
}

void SkyReelsVideo::begin_window(Meter& meter) {
    const WindowPlan& plan = windows.plan(index);
    window_begin = handed_out;
    at::Tensor latents = initial_latents(); // [C, frames, h, w]
    at::Tensor prefix;
    if (index == 0) {
        decoder = model.vae->decoder();
        if (settings.has_image) prefix = encode_picture(*request.image, "image_latent");
    } else if (pixel_windows()) {
        auto start = clock::now();
        prefix = model.vae->encode(history, request.cancel);
        decoder_flop += decoder->flop();
        decoder = model.vae->decoder(); // each window is decoded from a fresh state, as the reference does
        skip = settings.overlap_history;
        meter.update([&](Stats& s) { s.seconds_vae += since(start); });
        trace("prefix_latents.w" + std::to_string(index), prefix);
    } else {
        prefix = latent_history;
    }
    if (prefix.defined())
        latents.narrow(1, 0, plan.prefix_frames).copy_(prefix.narrow(1, 0, plan.prefix_frames));
    if (plan.end_frame) latents = at::cat({latents, encode_picture(*request.end_image, "end_latent")}, 1);

    auto s = shape(index);
    if (!window || window_shape != s) {
        if (window) window_calls.add(window->calls());
        window.reset(); // before the next one takes its memory
        window = std::make_unique<wan_dit::Window>(*model.transformer, s);
        window_shape = s;
    }
    // The reference forgets everything but the last frames that motion is measured against.
    window->forget(!settings.reference_windows);
    auto prefix_noise = [this, at_window = int(index)](int row) {
        int64_t C = model.transformer_config.out_channels, frames = windows.plan(at_window).prefix_frames;
        const auto& given = inputs_of(request).prefix_noise;
        if (!given) return noise(sampler::Purpose::PREFIX, at_window, frames, row);
        return given(at_window, row, {C, frames, h, w}).to(model.placement.device);
    };
    sampler = std::make_unique<WindowSampler>(*window, guidance(), plan, *policy, settings.cache,
                                              latents.contiguous(), prefix_noise);
    if (index == 0) log_cache_schedule();
    chunk_made_with.assign(window->chunks(), made_with);
    // Windows joined by latents share one decoder, which has seen the prefix already.
    decoded = index && !pixel_windows() ? plan.prefix_frames : 0;
}

// What the cache will compute as far as the schedule alone decides, for log level 5.
void SkyReelsVideo::log_cache_schedule() {
    if (!model.log || settings.cache.kind() == CacheKind::NONE) return;
    std::vector<cache::ScheduledStep> steps(1);
    for (const cache::FrameDistance& d : sampler->schedule_distances()) {
        const double sigma = windows.plan(0).steps[steps.size()].sigma;
        steps.push_back({std::vector<cache::FrameDistance>(settings.causal_block_size, d), sigma});
    }
    for (bool first : {true, false})
        model.log(5, std::string("cache, ") + (first ? "first chunk: " : "other chunks: ") +
                         cache::text_of(cache::coarse_schedule(settings.cache, steps, first,
                                                               windows.plan(0).branches(),
                                                               windows.plan(0).video_chunks)));
}

// "kv.{cond,uncond}.layer{i}.{k,v}": [tokens, heads, head] each.
void SkyReelsVideo::trace_keys_values() {
    if (settings.attention != Attention::KV) return;
    const auto& c = model.transformer_config;
    for (int branch = 0; branch < windows.plan(index).branches(); branch++)
        for (int64_t layer = 0; layer < c.layers; layer++) {
            const auto [k, v] = window->keys_values(branch, layer);
            const int64_t tokens = windows.plan(index).frames * window->frame_tokens();
            const std::string name =
                std::string("kv.") + (branch ? "uncond" : "cond") + ".layer" + std::to_string(layer);
            trace(name + ".k", k.narrow(0, 0, tokens).view({tokens, c.heads, c.head()}));
            trace(name + ".v", v.narrow(0, 0, tokens).view({tokens, c.heads, c.head()}));
        }
}

void SkyReelsVideo::end_window() {
    at::Tensor latents = sampler->latents().narrow(1, 0, windows.plan(index).frames);
    if (request.trace) {
        trace("latents.w" + std::to_string(index), latents);
        trace_keys_values();
        finished_latents.push_back(latents.slice(1, overlap_latents(settings, index)).clone());
        if (index + 1 == windows.count && !pixel_windows())
            trace("latents", at::cat(finished_latents, 1));
    }
    int64_t overlap = latent_frames(settings.overlap_history);
    if (index + 1 < windows.count && !pixel_windows())
        latent_history = latents.narrow(1, latents.size(1) - overlap, overlap).clone();
    for (const sampler::ChunkCount& c : sampler->counts()) finished_count += c;
    sampler.reset();
    shown.clear();
    index++;
}

// Latent frames [begin, end) of the window to frames [3, n, H, W], the overlap dropped.
at::Tensor SkyReelsVideo::decode(int begin, int end, Meter& meter) {
    auto start = clock::now();
    at::Tensor latents = sampler->latents().narrow(1, begin, end - begin);
    session::check_latents(latents, model.placement.precision);
    at::Tensor frames = decoder->decode(latents, request.cancel);
    wait_for(model.placement.device); // so that its time is told
    int64_t drop = std::min(skip, frames.size(1));
    skip -= drop;
    meter.update([&](Stats& s) {
        s.seconds_vae += since(start);
        s.flop_vae = decoder_flop + decoder->flop();
    });
    return frames.slice(1, drop);
}

bool SkyReelsVideo::step(Meter& meter) {
    if (index == windows.count) return false;
    if (!text.context)
        encode_text(meter);
    else if (!sampler)
        begin_window(meter);
    else
        step_row(meter);
    return true;
}

// Taken and in all, of the chunk that is handed out next.
std::pair<int, int> SkyReelsVideo::steps_of_next() const {
    const WindowPlan& plan = windows.plan(index);
    const auto& counts = sampler->counts();
    const size_t next = std::min<size_t>(counts.size() - 1, decoded / plan.chunk_frames);
    return {int(counts[next].turns / plan.branches()),
            int(plan.is_one_chunk() ? plan.rows.size() : plan.steps.size())};
}

void SkyReelsVideo::step_row(Meter& meter) {
    std::function<void(const sampler::Turn&)> observe;
    if (request.turns)
        observe = [&](const sampler::Turn& turn) { request.turns(int(index), turn); };
    for (int chunk : sampler->starting()) {
        if (waits_for_prompt(chunk, meter)) break;
        follow_changes(chunk, meter);
        std::fill(chunk_made_with.begin() + chunk, chunk_made_with.end(), made_with);
    }
    sampler->step(
        request.cancel, request.trace, timing, [&] { meter.update([](Stats& s) { s.forwards++; }); },
        observe);
    meter.update([&](Stats& s) {
        s.seconds_transformer = timing.transformer;
        s.seconds_cache = timing.cache;
        s.seconds_schedule = timing.schedule;
        s.count = finished_count;
        for (const sampler::ChunkCount& c : sampler->counts()) s.count += c;
        s.flop_transformer = window_calls.flop() + window->flop();
        std::tie(s.step, s.steps) = steps_of_next();
    });
    // One that is handed out may still be passed for its keys and values.
    for (auto [at, chunk] : shown) meter.recount(at, sampler->counts()[chunk]);
}

std::optional<session::FinishedFrames> SkyReelsVideo::take(Meter& meter) {
    const int chunk = settings.causal_block_size;
    while (sampler && sampler->finished() / chunk * chunk > decoded) {
        request.cancel.check();
        const int begin = decoded;
        // A prefix is decoded by itself, then chunk after chunk: what is fed together does not depend on the schedule.
        const int prefix = windows.plan(index).prefix_frames;
        decoded = begin < prefix ? prefix : begin + chunk;
        at::Tensor frames = decode(begin, decoded, meter);
        if (pixel_windows() && index + 1 < windows.count) {
            at::Tensor all = history.defined() ? at::cat({history, frames}, 1) : frames;
            history = all.slice(1, std::max<int64_t>(0, all.size(1) - settings.overlap_history)).clamp(-1, 1);
        }
        const auto& counts = sampler->counts();
        const size_t here = std::min<size_t>(counts.size() - 1, begin / windows.plan(index).chunk_frames);
        const sampler::ChunkCount count = counts[here];
        const auto with = chunk_made_with[here];
        const auto map = std::make_shared<const sampler::TokenMap>(sampler->token_map(begin, decoded));
        const bool last = decoded >= windows.plan(index).frames;
        if (last) end_window();
        if (frames.size(1) == 0) continue; // all of it was the overlap
        if (!last) shown.emplace_back(taken, here);
        taken++;
        handed_out += frames.size(1);
        return session::FinishedFrames{frames, count, with, map};
    }
    return std::nullopt;
}

networks::CallCount SkyReelsVideo::calls() const {
    networks::CallCount calls = window_calls;
    if (window) calls.add(window->calls());
    return calls;
}

} // namespace

std::unique_ptr<session::Video> begin_video(const Model& model, Request request) {
    return std::make_unique<SkyReelsVideo>(model, std::move(request));
}

} // namespace mc::skyreels_v2
