// SPDX-License-Identifier: LGPL-2.1-or-later
#include "engine/families/skyreels_v2/video.h"

#include <ATen/ATen.h>
#include <chrono>

#include "engine/cache/coarse_schedule.h"
#include "engine/families/skyreels_v2/diffusion_forcing.h"
#include "engine/families/skyreels_v2/window_plans.h"
#include "engine/families/skyreels_v2/windows.h"
#include "engine/networks/wan_dit/text_context.h"
#include "engine/sampler/noise.h"
#include "engine/session/memory.h"

namespace mc::skyreels_v2 {
namespace {

using session::check_memory;
using session::Meter;
using session::Request;
using session::Stats;
using clock = std::chrono::steady_clock;

double since(clock::time_point start) {
    return std::chrono::duration<double>(clock::now() - start).count();
}

struct SkyReelsVideo final : session::Video {
    SkyReelsVideo(const Model& model, Request request);
    const session::Outline& outline() const override { return outline_; }
    bool step(Meter& meter) override;
    std::optional<session::Chunk> take(Meter& meter) override;
    transformer::CallCount calls() const override;

    const Model& model;
    Request request;
    Settings settings;
    session::Outline outline_{};
    Windows windows;
    int64_t h, w; // of the latents

    std::shared_ptr<const transformer::TextContext> text, text_negative;
    std::unique_ptr<transformer::Window> window; // kept while the next one has the same shape
    transformer::Window::Shape window_shape{};
    std::unique_ptr<cache::Policy> policy;
    std::unique_ptr<sampler::WindowSampler> sampler;
    std::unique_ptr<vae::DecoderStream> decoder;
    size_t index = 0; // of the window being sampled
    int decoded = 0;  // leading latent frames of it that were decoded
    // Its chunks among those handed out: index there, index in counts().
    std::vector<std::pair<size_t, size_t>> shown;
    int64_t skip = 0; // frames of the window's decoder still to drop: the overlap
    size_t taken = 0; // chunks handed out
    // [3, n, H, W]: the last overlap_history frames delivered, when the next window needs them
    at::Tensor history;
    at::Tensor latent_history;                // [C, overlap, h, w]
    std::vector<at::Tensor> finished_latents; // for the trace of a whole video
    sampler::Timing timing;
    sampler::ChunkCount finished_count;  // of the windows that are gone
    transformer::CallCount window_calls; // of the windows that are gone
    int64_t decoder_flop = 0;            // of the decoders that are gone

    transformer::Window::Shape shape(size_t i) const { return shape_of(settings, windows, i, h, w); }
    bool pixel_windows() const {
        return settings.length.windows.size() > 1 && settings.long_video == model::LongVideo::PIXEL;
    }
    int64_t planned_bytes() const;
    void encode_text(Meter& meter);
    at::Tensor encode_picture(const sampler::Image& image, const char* name);
    at::Tensor initial_latents();
    void begin_window(Meter& meter);
    void step_row(Meter& meter);
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
    policy = cache::make_policy(settings.cache);
    policy->observe(request.decisions);
    windows = plan_windows(settings, request.grid, request.cancel);
    outline_.forwards = windows.forwards;
    outline_.chunks = windows.chunks;
    outline_.seed = settings.seed;
    outline_.frames = settings.num_frames;
    outline_.width = settings.width;
    outline_.height = settings.height;
    outline_.cache = settings.cache.kind();
    for (size_t i : windows.different) {
        const auto bytes =
            transformer::Window::bytes(model.transformer_config, model.placement.precision, shape(i));
        outline_.bytes_keys_values = std::max(outline_.bytes_keys_values, bytes.keys_values);
        outline_.bytes_cache = std::max(outline_.bytes_cache, bytes.remembered);
    }
    outline_.bytes = planned_bytes();
    if (model.placement.device.is_cpu())
        check_memory(outline_.bytes, "This request",
                     "ask for a smaller picture, a smaller base-num-frames or fewer frames.");
}

// What the request takes beside the weights, at its worst moment: the widest window's workspace, its latents
// and solver state, and the VAE.
int64_t SkyReelsVideo::planned_bytes() const {
    int64_t chunk = std::max(settings.causal_block_size, pixel_windows() ? overlap_latents(settings, 1) : 1);
    int64_t vae = model.vae->decode_bytes(chunk, h, w);
    if (pixel_windows()) vae = std::max(vae, model.vae->encode_bytes(settings.overlap_history, h, w));
    // The text is encoded and gone before the window is made.
    int64_t text = model.text_encoder->encode_bytes(model.transformer_config.text_rows);
    int64_t sampling =
        sampling_bytes(settings, windows, model.transformer_config, model.placement.precision, h, w);
    return std::max(text, sampling + vae);
}

void SkyReelsVideo::encode_text(Meter& meter) {
    auto start = clock::now();
    int64_t flop = 0;
    auto context = [&](const std::string& prompt, const char* name, const char* property) {
        size_t all = 0;
        auto ids =
            model.tokenizer->encode(prompt, model.transformer_config.text_rows, model.byte_fallback, &all);
        if (all > ids.size() && model.log)
            model.log(2,
                      std::string("The ") + property + " has " + std::to_string(all) +
                          " tokens and the model reads " + std::to_string(ids.size()) +
                          ", the end token counted in both: what comes after them is not used; shorten it.");
        at::Tensor embeds = model.text_encoder->encode(ids, request.cancel);
        trace(std::string(name) + "_ids", at::tensor(ids));
        trace(std::string(name) + "_embeds", embeds);
        if (!at::isfinite(embeds).all().item<bool>())
            throw Error(
                MC_ERROR_NUMBERS,
                "The text encoder produced NaN or infinity; its weights are damaged: fetch the file again.");
        auto made = model.transformer->text_context(embeds, request.cancel);
        flop += model.text_encoder->flop(int64_t(ids.size())) + made->flop;
        return made;
    };
    text = context(settings.prompt, "prompt", "prompt");
    if (settings.guidance_scale > 1)
        text_negative = context(settings.negative_prompt, "negative", "negative prompt");
    meter.update([&](Stats& s) {
        s.seconds_text = since(start);
        s.flop_text = flop;
    });
}

at::Tensor SkyReelsVideo::encode_picture(const sampler::Image& image, const char* name) {
    std::vector<float> pixels = sampler::image_to_pixels(image, settings.width, settings.height);
    at::Tensor video = at::tensor(pixels).view({3, 1, settings.height, settings.width});
    at::Tensor latent = model.vae->encode(video, request.cancel);
    trace(name, latent);
    return latent;
}

at::Tensor SkyReelsVideo::initial_latents() {
    int64_t C = model.transformer_config.out_channels, frames = windows.plans[index]->frames;
    if (request.initial_noise) return request.initial_noise(int(index), {C, frames, h, w}).clone();
    at::Tensor noise = at::empty({C, frames, h, w}, at::kFloat), frame = at::empty({C, h, w}, at::kFloat);
    for (int64_t f = 0; f < frames; f++) {
        sampler::normal_noise({settings.seed, sampler::Purpose::INITIAL, uint32_t(index), uint32_t(f), 0},
                              frame.mutable_data_ptr<float>(), frame.numel());
        noise.select(1, f).copy_(frame);
    }
    return noise;
}

void SkyReelsVideo::begin_window(Meter& meter) {
    const sampler::WindowPlan& plan = *windows.plans[index];
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
        window = std::make_unique<transformer::Window>(*model.transformer, s);
        window_shape = s;
    }
    // The reference forgets everything but the last frames that motion is measured against.
    window->forget(!settings.reference_windows);
    auto prefix_noise = [this, at_window = int(index)](int row) {
        int64_t C = model.transformer_config.out_channels, frames = windows.plans[at_window]->prefix_frames;
        if (request.prefix_noise) return request.prefix_noise(at_window, row, {C, frames, h, w});
        at::Tensor noise = at::empty({C, frames, h, w}, at::kFloat), frame = at::empty({C, h, w}, at::kFloat);
        for (int64_t f = 0; f < frames; f++) {
            sampler::normal_noise(
                {settings.seed, sampler::Purpose::PREFIX, uint32_t(at_window), uint32_t(f), uint32_t(row)},
                frame.mutable_data_ptr<float>(), frame.numel());
            noise.select(1, f).copy_(frame);
        }
        return noise;
    };
    sampler = std::make_unique<sampler::WindowSampler>(
        *window, sampler::Guidance{text.get(), text_negative.get()}, plan, *policy, settings.cache,
        latents.contiguous(), prefix_noise);
    if (index == 0) log_cache_schedule();
    // Windows joined by latents share one decoder, which has seen the prefix already.
    decoded = index && !pixel_windows() ? plan.prefix_frames : 0;
}

// What the cache will compute as far as the schedule alone decides, for log level 5.
void SkyReelsVideo::log_cache_schedule() {
    if (!model.log || settings.cache.kind() == cache::Kind::NONE) return;
    std::vector<cache::ScheduledStep> steps(1);
    for (const cache::FrameDistance& d : sampler->schedule_distances()) {
        const double sigma = windows.plans[0]->steps[steps.size()].sigma;
        steps.push_back({std::vector<cache::FrameDistance>(settings.causal_block_size, d), sigma});
    }
    for (bool first : {true, false})
        model.log(5, std::string("cache, ") + (first ? "first chunk: " : "other chunks: ") +
                         cache::text_of(cache::coarse_schedule(settings.cache, steps, first,
                                                               windows.plans[0]->branches(),
                                                               windows.plans[0]->video_chunks)));
}

// "kv.{cond,uncond}.layer{i}.{k,v}": [tokens, heads, head] each.
void SkyReelsVideo::trace_keys_values() {
    if (settings.attention != model::Attention::KV) return;
    const auto& c = model.transformer_config;
    for (int branch = 0; branch < windows.plans[index]->branches(); branch++)
        for (int64_t layer = 0; layer < c.layers; layer++) {
            std::vector<at::Tensor> k, v;
            for (int64_t t = 0; t < windows.plans[index]->frames * window->frame_tokens(); t++) {
                auto [key, value] = window->key_value(branch, layer, t);
                k.push_back(key.view({c.heads, c.head()}));
                v.push_back(value.view({c.heads, c.head()}));
            }
            const std::string name =
                std::string("kv.") + (branch ? "uncond" : "cond") + ".layer" + std::to_string(layer);
            trace(name + ".k", at::stack(k));
            trace(name + ".v", at::stack(v));
        }
}

void SkyReelsVideo::end_window() {
    at::Tensor latents = sampler->latents().narrow(1, 0, windows.plans[index]->frames);
    if (request.trace) {
        trace("latents.w" + std::to_string(index), latents);
        trace_keys_values();
        finished_latents.push_back(latents.slice(1, overlap_latents(settings, index)).clone());
        if (index + 1 == windows.plans.size() && !pixel_windows())
            trace("latents", at::cat(finished_latents, 1));
    }
    int64_t overlap = schedule::latent_frames(settings.overlap_history);
    if (index + 1 < windows.plans.size() && !pixel_windows())
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
    // One look at each finished chunk: a fault of the model must not become a black video.
    if (!at::isfinite(latents).all().item<bool>())
        throw Error(MC_ERROR_NUMBERS,
                    std::string("The transformer produced NaN or infinity; its weights are damaged") +
                        (model.placement.precision == Precision::FLOAT32
                             ? ": fetch the files again."
                             : " or do not suit precision bfloat16: try precision=float32, else fetch the "
                               "files again."));
    at::Tensor frames = decoder->decode(latents, request.cancel).to(at::kCPU);
    int64_t drop = std::min(skip, frames.size(1));
    skip -= drop;
    meter.update([&](Stats& s) {
        s.seconds_vae += since(start);
        s.flop_vae = decoder_flop + decoder->flop();
    });
    return frames.slice(1, drop);
}

bool SkyReelsVideo::step(Meter& meter) {
    if (index == windows.plans.size()) return false;
    if (!text)
        encode_text(meter);
    else if (!sampler)
        begin_window(meter);
    else
        step_row(meter);
    return true;
}

void SkyReelsVideo::step_row(Meter& meter) {
    std::function<void(const sampler::Turn&)> observe;
    if (request.turns) observe = [&](const sampler::Turn& turn) { request.turns(int(index), turn); };
    sampler->step(
        request.cancel, request.trace, timing, [&] { meter.update([](Stats& s) { s.forwards++; }); },
        observe);
    meter.update([&](Stats& s) {
        s.seconds_transformer = timing.transformer;
        s.seconds_cache = timing.cache;
        s.seconds_schedule = timing.schedule;
        s.count = finished_count;
        for (const sampler::ChunkCount& c : sampler->counts()) s.count += c;
        // One that is handed out may still be passed for its keys and values.
        for (auto [at, chunk] : shown) s.chunk[at].count = sampler->counts()[chunk];
        s.flop_transformer = window_calls.flop() + window->flop();
    });
}

std::optional<session::Chunk> SkyReelsVideo::take(Meter& meter) {
    const int chunk = settings.causal_block_size;
    while (sampler && sampler->finished() / chunk * chunk > decoded) {
        request.cancel.check();
        const int begin = decoded;
        // A prefix is decoded by itself, then chunk after chunk: what is fed together does not depend on the schedule.
        const int prefix = windows.plans[index]->prefix_frames;
        decoded = begin < prefix ? prefix : begin + chunk;
        at::Tensor frames = decode(begin, decoded, meter);
        if (pixel_windows() && index + 1 < windows.plans.size()) {
            at::Tensor all = history.defined() ? at::cat({history, frames}, 1) : frames;
            history = all.slice(1, std::max<int64_t>(0, all.size(1) - settings.overlap_history)).clamp(-1, 1);
        }
        const auto& counts = sampler->counts();
        const size_t here = std::min<size_t>(counts.size() - 1, begin / windows.plans[index]->chunk_frames);
        const sampler::ChunkCount count = counts[here];
        const bool last = decoded >= windows.plans[index]->frames;
        if (last) end_window();
        if (frames.size(1) == 0) continue; // all of it was the overlap
        if (!last) shown.emplace_back(taken, here);
        taken++;
        return session::Chunk{frames, count};
    }
    return std::nullopt;
}

transformer::CallCount SkyReelsVideo::calls() const {
    transformer::CallCount calls = window_calls;
    if (window) calls.add(window->calls());
    return calls;
}

} // namespace

std::unique_ptr<session::Video> begin_video(const Model& model, Request request) {
    return std::make_unique<SkyReelsVideo>(model, std::move(request));
}

} // namespace mc::skyreels_v2
