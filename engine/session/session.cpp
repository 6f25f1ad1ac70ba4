#include "engine/session/session.h"

#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>
#include <chrono>
#include <mutex>

#include "engine/cache/coarse_schedule.h"
#include "engine/processor.h"
#include "engine/sampler/diffusion_forcing.h"
#include "engine/sampler/noise.h"
#include "engine/session/memory.h"
#include "engine/session/request.h"
#include "engine/transformer/text_context.h"

namespace mc::session {

using clock = std::chrono::steady_clock;
static double since(clock::time_point start) {
    return std::chrono::duration<double>(clock::now() - start).count();
}

struct Session::Impl {
    std::shared_ptr<const LoadedModel> model;
    Request request;
    Settings settings;
    schedule::TimeGrid grid;
    std::vector<std::shared_ptr<const sampler::WindowPlan>> plans; // one a window; most windows share theirs
    std::vector<size_t> different; // windows whose plan is not that of the one before
    int chunks_at_once = 1;        // most of any window
    int64_t h, w;                  // of the latents

    std::shared_ptr<const transformer::TextContext> text, text_negative;
    std::unique_ptr<transformer::Window> window; // kept while the next one has the same shape
    transformer::Window::Shape window_shape{};
    std::unique_ptr<cache::Policy> policy;
    std::unique_ptr<sampler::WindowSampler> sampler;
    std::unique_ptr<vae::DecoderStream> decoder;
    size_t index = 0; // of the window being sampled
    int decoded = 0;  // leading latent frames of it that were decoded
    // its chunks among those delivered: index there, index in counts()
    std::vector<std::pair<size_t, size_t>> shown;
    int64_t skip = 0; // frames of the window's decoder still to drop: the overlap
    int64_t delivered = 0;
    // [3, n, H, W]: the last overlap_history frames delivered, when the next window needs them
    at::Tensor history;
    at::Tensor latent_history;                // [C, overlap, h, w]
    std::vector<at::Tensor> finished_latents; // for the trace of a whole video
    sampler::Timing timing;
    sampler::ChunkCount finished_count;  // of the windows that are gone
    transformer::CallCount window_calls; // of the windows that are gone
    int64_t decoder_flop = 0;            // of the decoders that are gone

    mutable std::mutex mutex; // guards stats
    Stats stats{};

    Impl(std::shared_ptr<const LoadedModel> model, Request request);
    transformer::Window::Shape shape(size_t i) const;
    bool pixel_windows() const {
        return settings.length.windows.size() > 1 && settings.long_video == model::LongVideo::PIXEL;
    }
    int overlap_latents(size_t i) const { return i ? schedule::latent_frames(settings.overlap_history) : 0; }
    int64_t planned_bytes() const;
    void encode_text();
    at::Tensor encode_picture(const sampler::Image& image, const char* name);
    at::Tensor initial_latents();
    void begin_window();
    void log_cache_schedule();
    void trace_keys_values();
    void end_window();
    at::Tensor decode(int begin, int end);
    std::optional<Frames> next();
    void update(const std::function<void(Stats&)>& change) {
        std::lock_guard lock(mutex);
        change(stats);
    }
    void trace(const std::string& name, const at::Tensor& value) const {
        if (request.trace) request.trace(name, value);
    }
};

Session::Impl::Impl(std::shared_ptr<const LoadedModel> m, Request r)
    : model(std::move(m)), request(std::move(r)) {
    settings = complete(request, *model);
    h = settings.height / model->vae_config.spatial_factor;
    w = settings.width / model->vae_config.spatial_factor;
    grid = schedule::time_grid(settings.steps, settings.shift, request.grid);
    policy = cache::make_policy(settings.cache);
    policy->observe(request.decisions);
    const auto& windows = settings.length.windows;
    int64_t generated = 0; // latent frames
    for (size_t i = 0; i < windows.size(); i++) generated += windows[i] - overlap_latents(i);
    const int video_chunks =
        static_cast<int>(std::min<int64_t>(generated / settings.causal_block_size, INT32_MAX));
    for (size_t i = 0; i < windows.size(); i++) { // a long video has a million
        request.cancel.check();
        bool end_frame = settings.has_end_image && i + 1 == windows.size();
        int prefix = i ? overlap_latents(i) : settings.has_image ? 1 : 0;
        prefix = std::min(prefix, windows[i]);
        const bool same = i && plans.back()->frames == windows[i] && plans.back()->prefix_frames == prefix &&
                          plans.back()->end_frame == end_frame;
        if (same) {
            plans.push_back(plans.back());
        } else {
            const sampler::WindowSettings window{windows[i],
                                                 prefix,
                                                 settings.causal_block_size,
                                                 settings.ar_step,
                                                 end_frame,
                                                 settings.guidance_scale,
                                                 settings.addnoise_condition,
                                                 settings.attention,
                                                 settings.finished_chunks,
                                                 settings.reference_windows,
                                                 video_chunks};
            check_memory(sampler::plan_bytes(window, settings.steps), "The plan of this request's windows",
                         "ask for a smaller base-num-frames or fewer steps.");
            plans.push_back(std::make_shared<const sampler::WindowPlan>(sampler::plan_window(window, grid)));
            different.push_back(i);
            chunks_at_once = std::max(chunks_at_once, plans.back()->chunks_at_once());
        }
        stats.forwards_total += plans.back()->forwards();
        stats.cache = settings.cache.kind;
        stats.chunks_total += (windows[i] - overlap_latents(i)) / settings.causal_block_size;
    }
    stats.seed = settings.seed;
    stats.frames_total = settings.num_frames;
    stats.bytes_weights = model->bytes();
    stats.width = settings.width;
    stats.height = settings.height;
    for (size_t i : different) {
        const auto bytes = transformer::Window::bytes(model->transformer_config, model->precision, shape(i));
        stats.bytes_keys_values = std::max(stats.bytes_keys_values, bytes.keys_values);
        stats.bytes_cache = std::max(stats.bytes_cache, bytes.remembered);
    }
    int64_t work = planned_bytes();
    stats.bytes_planned = stats.bytes_weights + work;
    if (model->device.is_cpu())
        check_memory(work, "This request",
                     "ask for a smaller picture, a smaller base-num-frames or fewer frames.");
}

transformer::Window::Shape Session::Impl::shape(size_t i) const {
    const sampler::WindowPlan& plan = *plans[i];
    transformer::Window::Shape s{plan.columns(),      static_cast<int>(h),
                                 static_cast<int>(w), settings.causal_block_size,
                                 settings.attention,  settings.fps};
    s.branches = plan.branches();
    s.chunks_at_once = chunks_at_once;
    s.remembers = settings.cache.kind != cache::Kind::NONE;
    s.reuse = settings.cache.reuse;
    return s;
}

// What the request takes beside the weights, at its worst moment: the widest window's workspace, its latents
// and solver state, and the VAE.
int64_t Session::Impl::planned_bytes() const {
    int64_t window_bytes = 0, latents = 0;
    for (size_t i : different) {
        auto s = shape(i);
        window_bytes = std::max(
            window_bytes, transformer::Window::bytes(model->transformer_config, model->precision, s).total());
        latents = std::max<int64_t>(latents, s.frames * h * w * model->transformer_config.out_channels * 4);
    }
    int64_t chunk = std::max(settings.causal_block_size, pixel_windows() ? overlap_latents(1) : 1);
    int64_t vae = model->vae->decode_bytes(chunk, h, w);
    if (pixel_windows()) vae = std::max(vae, model->vae->encode_bytes(settings.overlap_history, h, w));
    // The text is encoded and gone before the window is made.
    int64_t text = model->text_encoder->encode_bytes(model->transformer_config.text_rows);
    return std::max(text, window_bytes + 10 * latents + vae);
}

void Session::Impl::encode_text() {
    auto start = clock::now();
    int64_t flop = 0;
    auto context = [&](const std::string& prompt, const char* name) {
        auto ids =
            model->tokenizer->encode(prompt, model->transformer_config.text_rows, model->byte_fallback);
        at::Tensor embeds = model->text_encoder->encode(ids, request.cancel);
        trace(std::string(name) + "_ids", at::tensor(ids));
        trace(std::string(name) + "_embeds", embeds);
        if (!at::isfinite(embeds).all().item<bool>())
            throw Error(
                MC_ERROR_NUMBERS,
                "The text encoder produced NaN or infinity; its weights are damaged: fetch the file again.");
        auto made = model->transformer->text_context(embeds, request.cancel);
        flop += model->text_encoder->flop(static_cast<int64_t>(ids.size())) + made->flop;
        return made;
    };
    text = context(settings.prompt, "prompt");
    if (settings.guidance_scale > 1) text_negative = context(settings.negative_prompt, "negative");
    update([&](Stats& s) {
        s.seconds_text = since(start);
        s.flop_text = flop;
    });
}

at::Tensor Session::Impl::encode_picture(const sampler::Image& image, const char* name) {
    std::vector<float> pixels = sampler::image_to_pixels(image, settings.width, settings.height);
    at::Tensor video = at::tensor(pixels).view({3, 1, settings.height, settings.width});
    at::Tensor latent = model->vae->encode(video, request.cancel);
    trace(name, latent);
    return latent;
}

at::Tensor Session::Impl::initial_latents() {
    int64_t C = model->transformer_config.out_channels, frames = plans[index]->frames;
    if (request.initial_noise)
        return request.initial_noise(static_cast<int>(index), {C, frames, h, w}).clone();
    at::Tensor noise = at::empty({C, frames, h, w}, at::kFloat), frame = at::empty({C, h, w}, at::kFloat);
    for (int64_t f = 0; f < frames; f++) {
        sampler::normal_noise({settings.seed, sampler::Purpose::INITIAL, static_cast<uint32_t>(index),
                               static_cast<uint32_t>(f), 0},
                              frame.mutable_data_ptr<float>(), frame.numel());
        noise.select(1, f).copy_(frame);
    }
    return noise;
}

void Session::Impl::begin_window() {
    const sampler::WindowPlan& plan = *plans[index];
    at::Tensor latents = initial_latents(); // [C, frames, h, w]
    at::Tensor prefix;
    if (index == 0) {
        decoder = model->vae->decoder();
        if (settings.has_image) prefix = encode_picture(*request.image, "image_latent");
    } else if (pixel_windows()) {
        auto start = clock::now();
        prefix = model->vae->encode(history, request.cancel);
        decoder_flop += decoder->flop();
        decoder = model->vae->decoder(); // each window is decoded from a fresh state, as the reference does
        skip = settings.overlap_history;
        update([&](Stats& s) { s.seconds_vae += since(start); });
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
        window = std::make_unique<transformer::Window>(*model->transformer, s);
        window_shape = s;
    }
    // The reference forgets everything but the last frames that motion is measured against.
    window->forget(!settings.reference_windows);
    auto prefix_noise = [this, at_window = static_cast<int>(index)](int row) {
        int64_t C = model->transformer_config.out_channels, frames = plans[at_window]->prefix_frames;
        if (request.prefix_noise) return request.prefix_noise(at_window, row, {C, frames, h, w});
        at::Tensor noise = at::empty({C, frames, h, w}, at::kFloat), frame = at::empty({C, h, w}, at::kFloat);
        for (int64_t f = 0; f < frames; f++) {
            sampler::normal_noise({settings.seed, sampler::Purpose::PREFIX, static_cast<uint32_t>(at_window),
                                   static_cast<uint32_t>(f), static_cast<uint32_t>(row)},
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

// What the cache will compute as far as the schedule alone decides, for whoever asks (log level 5).
void Session::Impl::log_cache_schedule() {
    if (!model->log || settings.cache.kind == cache::Kind::NONE) return;
    std::vector<cache::ScheduledStep> steps(1);
    for (const cache::FrameDistance& d : sampler->schedule_distances()) {
        const double sigma = plans[0]->steps[steps.size()].sigma;
        steps.push_back({std::vector<cache::FrameDistance>(settings.causal_block_size, d), sigma});
    }
    for (bool first : {true, false})
        model->log(5, std::string("cache, ") + (first ? "first chunk: " : "other chunks: ") +
                          cache::text_of(
                              cache::coarse_schedule(settings.cache, steps, first, plans[0]->branches(), plans[0]->video_chunks)));
}

// "kv.{cond,uncond}.layer{i}.{k,v}": [tokens, heads, head] each.
void Session::Impl::trace_keys_values() {
    if (settings.attention != model::Attention::KV) return;
    const auto& c = model->transformer_config;
    for (int branch = 0; branch < plans[index]->branches(); branch++)
        for (int64_t layer = 0; layer < c.layers; layer++) {
            std::vector<at::Tensor> k, v;
            for (int64_t t = 0; t < plans[index]->frames * window->frame_tokens(); t++) {
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

void Session::Impl::end_window() {
    at::Tensor latents = sampler->latents().narrow(1, 0, plans[index]->frames);
    if (request.trace) {
        trace("latents.w" + std::to_string(index), latents);
        trace_keys_values();
        finished_latents.push_back(latents.slice(1, overlap_latents(index)).clone());
        if (index + 1 == plans.size() && !pixel_windows()) trace("latents", at::cat(finished_latents, 1));
    }
    int64_t overlap = schedule::latent_frames(settings.overlap_history);
    if (index + 1 < plans.size() && !pixel_windows())
        latent_history = latents.narrow(1, latents.size(1) - overlap, overlap).clone();
    for (const sampler::ChunkCount& c : sampler->counts()) finished_count += c;
    sampler.reset();
    shown.clear();
    index++;
}

// Latent frames [begin, end) of the window to frames [3, n, H, W] in [-1, 1], the overlap dropped.
at::Tensor Session::Impl::decode(int begin, int end) {
    auto start = clock::now();
    at::Tensor latents = sampler->latents().narrow(1, begin, end - begin);
    // One look at each finished chunk: a fault of the model must not become a black video.
    if (!at::isfinite(latents).all().item<bool>())
        throw Error(MC_ERROR_NUMBERS,
                    std::string("The transformer produced NaN or infinity; its weights are damaged") +
                        (model->precision == Precision::FLOAT32
                             ? ": fetch the files again."
                             : " or do not suit precision bfloat16: try precision=float32, else fetch the "
                               "files again."));
    at::Tensor frames = decoder->decode(latents, request.cancel).to(at::kCPU);
    if (!at::isfinite(frames.sum()).item<bool>())
        throw Error(MC_ERROR_NUMBERS,
                    "The VAE produced NaN or infinity; its weights are damaged: fetch the file again.");
    frames = frames.clamp(-1, 1);
    int64_t drop = std::min(skip, frames.size(1));
    skip -= drop;
    update([&](Stats& s) {
        s.seconds_vae += since(start);
        s.flop_vae = decoder_flop + decoder->flop();
    });
    return frames.slice(1, drop);
}

std::optional<Frames> Session::Impl::next() {
    while (delivered < settings.num_frames && index < plans.size()) {
        request.cancel.check();
        if (!text) encode_text();
        if (!sampler) begin_window();
        std::function<void(const sampler::Turn&)> observe;
        if (request.turns)
            observe = [&](const sampler::Turn& turn) { request.turns(static_cast<int>(index), turn); };
        int chunk = settings.causal_block_size;
        int ready = sampler->finished() / chunk * chunk;
        if (ready <= decoded) {
            sampler->step(
                request.cancel, request.trace, timing, [this] { update([](Stats& s) { s.forwards++; }); },
                observe);
            update([&](Stats& s) {
                s.seconds_transformer = timing.transformer;
                s.seconds_cache = timing.cache;
                s.seconds_schedule = timing.schedule;
                s.count = finished_count;
                for (const sampler::ChunkCount& c : sampler->counts()) s.count += c;
                // One that is delivered may still be passed for its keys and values.
                for (auto [at, chunk] : shown) s.chunk[at].count = sampler->counts()[chunk];
                s.flop_transformer = window_calls.flop() + window->flop();
            });
            continue;
        }
        int begin = decoded;
        // A prefix is decoded by itself, then chunk after chunk: what is fed together does not depend on the schedule.
        int prefix = plans[index]->prefix_frames;
        decoded = begin < prefix ? prefix : begin + chunk;
        at::Tensor frames = decode(begin, decoded);
        if (pixel_windows() && index + 1 < plans.size()) {
            at::Tensor all = history.defined() ? at::cat({history, frames}, 1) : frames;
            history = all.slice(1, std::max<int64_t>(0, all.size(1) - settings.overlap_history)).clone();
        }
        const auto& counts = sampler->counts();
        const size_t chunk_here = std::min<size_t>(counts.size() - 1, begin / plans[index]->chunk_frames);
        const sampler::ChunkCount count_here = counts[chunk_here];
        const bool last = decoded >= plans[index]->frames;
        if (last) end_window();
        int64_t count = std::min(frames.size(1), settings.num_frames - delivered);
        if (count <= 0) continue;
        Frames result{frames.narrow(1, 0, count), delivered};
        delivered += count;
        update([&](Stats& s) {
            s.frames = delivered;
            s.chunks++;
            if (!last) shown.emplace_back(s.chunk.size(), chunk_here);
            s.chunk.push_back({result.first, count, count_here});
        });
        return result;
    }
    return std::nullopt;
}

Session::Session(std::shared_ptr<const LoadedModel> model, Request request)
    : impl_(std::make_unique<Impl>(std::move(model), std::move(request))) {}
Session::~Session() = default;

std::optional<Frames> Session::next() {
    c10::InferenceMode guard;
    set_thread_count(impl_->model->threads);
    return impl_->next();
}

transformer::CallCount Session::calls() const {
    transformer::CallCount calls = impl_->window_calls;
    if (impl_->window) calls.add(impl_->window->calls());
    return calls;
}

Stats Session::stats() const {
    std::lock_guard lock(impl_->mutex);
    return impl_->stats;
}

std::optional<ChunkStats> Session::chunk_stats(size_t index) const {
    std::lock_guard lock(impl_->mutex);
    const std::vector<ChunkStats>& chunks = impl_->stats.chunk;
    return index < chunks.size() ? std::optional(chunks[index]) : std::nullopt;
}

} // namespace mc::session
