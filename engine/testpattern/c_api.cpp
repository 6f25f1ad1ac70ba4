// SPDX-License-Identifier: LGPL-2.1-or-later
// The C API over the pattern: see testpattern.h.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <mutex>
#include <random>
#include <thread>
#include <vector>

#include "engine/cancel.h"
#include "engine/request/changes.h"
#include "engine/request/c_request.h"
#include "engine/testpattern/testpattern.h"

using namespace mc::testpattern;

struct McModel {
    std::atomic<int> references{1};
    Knobs knobs;
    McLog log = nullptr;
    void* user = nullptr;
};

struct McSession {
    McModel* model;
    int64_t seed;
    int width, height, steps, chunk, forwards_a_step;
    int64_t frames_total, chunks_total;
    std::vector<uint8_t> corner; // RGB, corner_width x corner_height: of the image
    int corner_width = 0, corner_height = 0;
    const McCancel* cancel;
    std::atomic<int64_t> frames{0}, chunks{0}, forwards{0};
    std::atomic<double> seconds{0}; // of its steps
    McStep on_step = nullptr;
    void* user = nullptr; // of on_step
    bool guided, cached;
    mc::Changes changes;
    // What the chunk that starts is made with.
    mc::MadeWith made_with;
    Rgb from, strip; // colours: at the beginning of the transition, now
    int transition = 0, passed = 0, next_transition = 0;
};

struct McFrames {
    uint64_t seed;
    int width, height;
    int64_t first;
    int count;
    std::vector<uint8_t> corner;
    int corner_width, corner_height;
    mc::MadeWith made_with;
    Rgb strip;
    int64_t chunk;
    McWork work;
    bool reuse, gpu, lost;
};

namespace {

constexpr int TOKEN = 16; // pixels
constexpr int REUSED = 4; // of so many turns one computes everything, where anything is reused

// Sleeps in slices, as the engine works in layers.
void work(double milliseconds, mc::Cancel cancel) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::microseconds(int64_t(milliseconds * 1000));
    cancel.check();
    while (std::chrono::steady_clock::now() < end) {
        std::this_thread::sleep_for(std::min<std::chrono::steady_clock::duration>(
            std::chrono::milliseconds(5), end - std::chrono::steady_clock::now()));
        cancel.check();
    }
}

void report(McError* out, McStatus status, const std::string& message, const std::string& detail) {
    if (!out) return;
    out->status = status;
    std::snprintf(out->message, sizeof out->message, "%s", message.c_str());
    std::snprintf(out->detail, sizeof out->detail, "%s", detail.c_str());
}

template <class F>
auto guarded(McError* error, F body) -> decltype(body()) {
    report(error, MC_OK, "", "");
    try {
        return body();
    } catch (const mc::Error& e) {
        report(error, e.status, e.what(), e.detail);
    } catch (const std::exception& e) {
        report(error, MC_ERROR_INTERNAL, "The test pattern failed; please report it.", e.what());
    }
    return {};
}

// The caller's request, checked. What the element negotiates is not known yet when it is checked before loading.
mc::Fields checked(const McRequest& c) {
    using mc::Error;
    mc::Fields r;
    mc::read_c(c, r);
    if (c.cache) mc::read_c(mc::whole_c(c.cache, "mc_cache_options_init"), r);
    mc::check_ranges(r);
    if (r.prompt.value_or("").empty()) throw Error(MC_ERROR_SETTINGS, "No prompt is given: set prompt.");
    if (r.width.value_or(0) % 16 || r.height.value_or(0) % 16)
        throw Error(MC_ERROR_SETTINGS, "Width and height have to be multiples of 16.");
    if (c.image.rgb && r.causal_block_size.value_or(1) > 1)
        throw Error(MC_ERROR_SETTINGS, "An image needs causal-block-size=1.");
    return r;
}

void put(const McFrames& f, int index, int x, int y, uint8_t rgb[3]) {
    const int64_t frame = f.first + index;
    if (frame == 0 && x < f.corner_width && y < f.corner_height) {
        std::memcpy(rgb, &f.corner[3 * (size_t(y) * f.corner_width + x)], 3);
        return;
    }
    const Rgb p = pixel({f.seed, f.width, f.height, frame, f.strip}, x, y);
    rgb[0] = p.r, rgb[1] = p.g, rgb[2] = p.b;
}

// For what is made with such a cache, as if one were chosen by itself; the statistics say that it reuses nothing.
void set_cache(mc::MadeWith& with, const mc::CacheFields& asked) {
    with.cache = asked.kind.value_or(mc::CacheKind::MOTIONCACHE);
    with.cache_threshold = with.cache == mc::CacheKind::NONE ? 0 : asked.threshold.value_or(0.1);
}

void check_update(const McSession& s, const mc::Fields& wanted) {
    using mc::Error;
    mc::check_ranges(wanted);
    if (wanted.prompt && wanted.prompt->find_first_not_of(" \t\r\n") == std::string::npos)
        throw Error(MC_ERROR_SETTINGS, "The new prompt is empty: give a sentence that describes the video.");
    if (wanted.guidance_scale.value_or(0) > 1 && !s.guided)
        throw Error(MC_ERROR_SETTINGS, "guidance-scale was 1 or less when the video began: begin with more than 1.");
    const bool cache = wanted.cache.kind.value_or(mc::CacheKind::NONE) != mc::CacheKind::NONE;
    if (!s.cached && (cache || wanted.cache.threshold))
        throw Error(MC_ERROR_SETTINGS,
                    std::string(cache ? "cache" : "cache-threshold") +
                        " is set but nothing is cached: choose a cache when the video begins.");
}

McWork work_of(const McSession& s, int64_t turns) {
    const int64_t tokens = int64_t(s.width / TOKEN) * (s.height / TOKEN) * s.chunk;
    McWork work{};
    work.turns = turns;
    work.turns_whole = s.model->knobs.reuse ? (turns + REUSED - 1) / REUSED : turns;
    work.turns_reused = turns - work.turns_whole;
    work.tokens_computed = work.turns_whole * tokens;
    work.tokens_reused = work.turns_reused * tokens;
    return work;
}

void follow_changes(McSession& s) {
    if (const auto due = s.changes.due(s.frames)) {
        const mc::Change& change = due->change;
        s.made_with.update = due->update;
        if (change.negative_prompt) s.made_with.negative_prompt = *change.negative_prompt;
        if (change.guidance_scale) s.made_with.guidance_scale = *change.guidance_scale;
        if (due->cache) set_cache(s.made_with, *due->cache);
        if (change.prompt_transition) s.next_transition = *change.prompt_transition;
        if (change.prompt) {
            s.made_with.prompt = *change.prompt;
            s.from = s.strip;
            s.transition = s.next_transition + 1;
            s.passed = 0;
        }
    }
    if (s.passed == s.transition) return;
    s.passed++;
    const Rgb to = colour_of(s.made_with.prompt);
    const auto blend = [&](int a, int b) {
        return uint8_t((a * (s.transition - s.passed) + b * s.passed) / s.transition);
    };
    s.strip = {blend(s.from.r, to.r), blend(s.from.g, to.g), blend(s.from.b, to.b)};
}

} // namespace

uint32_t mc_abi_version(void) {
    return MC_ABI_VERSION;
}

McCancel* mc_cancel_new(void) {
    return new McCancel;
}
void mc_cancel_set(McCancel* cancel) {
    cancel->set.store(true);
}
void mc_cancel_free(McCancel* cancel) {
    delete cancel;
}

void mc_model_options_init(McModelOptions* options, size_t size) {
    mc::init_c(options, size);
}
void mc_cache_options_init(McCacheOptions* options, size_t size) {
    mc::init_c(options, size);
}

McModel* mc_model_open(const McModelOptions* caller, McError* error) {
    return guarded(error, [&]() -> McModel* {
        const McModelOptions options = mc::whole_c(caller, "mc_model_options_init");
        auto model = std::make_unique<McModel>();
        model->knobs = parse_knobs(std::getenv("MOTIONCACHE_TESTPATTERN"));
        model->log = options.log;
        model->user = options.user;
        const Knobs& knobs = model->knobs;
        if (knobs.fault == Fault::DEVICE)
            throw mc::Error(MC_ERROR_DEVICE,
                            "The device cannot be used, as MOTIONCACHE_TESTPATTERN asks: drop fail=device.");
        for (int tenth = 0; tenth < 10; tenth++) {
            if (options.progress) options.progress(options.user, tenth / 10.0, "transformer");
            work(knobs.load_ms / 10, options.cancel);
            if (knobs.fault == Fault::LOAD && tenth == 5)
                throw mc::Error(MC_ERROR_READ,
                                "The model is damaged, as MOTIONCACHE_TESTPATTERN asks: drop fail=load.",
                                "transformer/pattern.safetensors");
        }
        if (options.progress) options.progress(options.user, 1.0, "transformer");
        if (model->log && knobs.warn)
            model->log(model->user, 2,
                       "The test pattern warns, as MOTIONCACHE_TESTPATTERN asks: drop warn=1.");
        if (model->log) model->log(model->user, 4, "test pattern ready");
        return model.release();
    });
}

void mc_model_free(McModel* model) {
    if (model && --model->references == 0) delete model;
}

void mc_request_init(McRequest* request, size_t size) {
    mc::init_c(request, size);
}

int mc_request_check(const McModelOptions* options, const McRequest* caller, McError* error) {
    return guarded(error, [&] {
        mc::whole_c(options, "mc_model_options_init");
        const Knobs knobs = parse_knobs(std::getenv("MOTIONCACHE_TESTPATTERN"));
        if (knobs.fault == Fault::CHECK)
            throw mc::Error(
                MC_ERROR_SETTINGS,
                "The settings contradict each other, as MOTIONCACHE_TESTPATTERN asks: drop fail=check.");
        checked(mc::whole_c(caller, "mc_request_init"));
        return 1;
    });
}

// A pattern takes next to nothing.
int mc_plan(const McModelOptions* options, const McRequest* caller, McPlan* out, McError* error) {
    return guarded(error, [&] {
        mc::whole_c(options, "mc_model_options_init");
        checked(mc::whole_c(caller, "mc_request_init"));
        McPlan plan{};
        plan.struct_size = out->struct_size;
        std::snprintf(plan.device, sizeof plan.device, "cpu");
        plan.fits = 1;
        plan.bytes_total = plan.bytes_activations = 1 << 20;
        plan.bytes_free = int64_t(1) << 30;
        std::memcpy(out, &plan, std::min(out->struct_size, sizeof plan));
        return 1;
    });
}

McSession* mc_session_new(McModel* model, const McRequest* caller, McError* error) {
    return guarded(error, [&]() -> McSession* {
        const Knobs& knobs = model->knobs;
        if (knobs.fault == Fault::SESSION)
            throw mc::Error(MC_ERROR_SETTINGS,
                            "The request is refused, as MOTIONCACHE_TESTPATTERN asks: drop fail=session.");
        if (knobs.fault == Fault::MEMORY)
            throw mc::Error(MC_ERROR_MEMORY,
                            "The request needs 2 bytes and 1 is free, as MOTIONCACHE_TESTPATTERN asks: "
                            "drop fail=memory.");
        const McRequest c = mc::whole_c(caller, "mc_request_init");
        const mc::Fields r = checked(c);
        auto s = std::make_unique<McSession>();
        s->model = model;
        s->seed = r.seed ? *r.seed : int64_t(std::random_device{}());
        s->width = r.width.value_or(160);
        s->height = r.height.value_or(96);
        s->steps = r.steps.value_or(30);
        s->chunk = r.causal_block_size.value_or(c.image.rgb ? 1 : 3);
        s->forwards_a_step = r.guidance_scale.value_or(4) <= 1 ? 1 : 2;
        s->frames_total = r.num_frames.value_or(57);
        const int64_t latents = (s->frames_total + 2) / 4 + 1;
        s->chunks_total = s->frames_total == MC_ENDLESS ? MC_ENDLESS : (latents + s->chunk - 1) / s->chunk;
        s->guided = s->forwards_a_step > 1;
        s->made_with = {0, *r.prompt, r.negative_prompt.value_or(""), r.guidance_scale.value_or(4)};
        set_cache(s->made_with, r.cache);
        s->cached = s->made_with.cache != mc::CacheKind::NONE;
        s->changes.begin_with(r.cache);
        s->next_transition = r.prompt_transition.value_or(0);
        s->from = s->strip = colour_of(*r.prompt);
        if (c.image.rgb) {
            s->corner_width = std::min(16, c.image.width);
            s->corner_height = std::min(16, c.image.height);
            for (int y = 0; y < s->corner_height; y++) {
                const uint8_t* row = c.image.rgb + y * c.image.stride;
                s->corner.insert(s->corner.end(), row, row + 3 * s->corner_width);
            }
        }
        s->cancel = c.cancel;
        ++model->references;
        return s.release();
    });
}

void mc_session_free(McSession* session) {
    if (!session) return;
    mc_model_free(session->model);
    delete session;
}

McFrames* mc_session_next(McSession* s, McError* error) {
    return guarded(error, [&]() -> McFrames* {
        if (s->frames == s->frames_total) return nullptr;
        const Knobs& knobs = s->model->knobs;
        const int64_t chunk = s->chunks;
        if (chunk == 0) work(knobs.first_ms, s->cancel);
        follow_changes(*s);
        const auto begin = std::chrono::steady_clock::now();
        const double before = s->seconds;
        for (int step = 0; step < s->steps; step++) {
            work(step_milliseconds(knobs, chunk, s->made_with.cache_threshold), s->cancel);
            s->forwards += s->forwards_a_step;
            s->seconds = before + std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
            if (s->on_step) s->on_step(s->user);
        }
        if (chunk == knobs.fault_chunk && knobs.fault == Fault::NUMBERS)
            throw mc::Error(MC_ERROR_NUMBERS,
                            "The model produced NaN, as MOTIONCACHE_TESTPATTERN asks: drop fail=numbers.");
        if (chunk == knobs.fault_chunk && knobs.fault == Fault::NEXT)
            throw mc::Error(MC_ERROR_INTERNAL,
                            "The sampler failed, as MOTIONCACHE_TESTPATTERN asks: drop fail=next.");

        const int64_t first = s->frames;
        const int64_t decoded = chunk == 0 ? 4 * s->chunk - 3 : 4 * s->chunk;
        const int count = int(s->frames_total == MC_ENDLESS ? decoded : std::min(decoded, s->frames_total - first));
        auto* frames = new McFrames{uint64_t(s->seed),
                                    s->width,
                                    s->height,
                                    first,
                                    count,
                                    s->corner,
                                    s->corner_width,
                                    s->corner_height,
                                    s->made_with,
                                    s->strip,
                                    chunk,
                                    work_of(*s, s->steps * s->forwards_a_step),
                                    knobs.reuse,
                                    knobs.gpu,
                                    knobs.fault == Fault::WRITE};
        s->frames += count;
        ++s->chunks;
        return frames;
    });
}

void mc_update_init(McUpdate* update, size_t size) {
    mc::init_c(update, size);
}

int64_t mc_session_update(McSession* s, const McUpdate* caller, McError* error) {
    return guarded(error, [&]() -> int64_t {
        const McUpdate c = mc::whole_c(caller, "mc_update_init");
        mc::Fields wanted;
        if (c.cache) mc::read_c(mc::whole_c(c.cache, "mc_cache_options_init"), wanted);
        mc::read_c(c, wanted);
        check_update(*s, wanted);
        const mc::Change change{wanted.prompt,         wanted.negative_prompt,
                                wanted.guidance_scale, wanted.prompt_transition,
                                wanted.cache,          c.cache != nullptr};
        const int64_t number = c.queued ? s->changes.queue(change, c.frames) : s->changes.add(change);
        if (!number) throw mc::Error(MC_ERROR_SETTINGS, "Too many changes are waiting: queue them later.");
        return number;
    });
}

void mc_session_clear_updates(McSession* s) {
    s->changes.clear();
}

void mc_frames_made_with(const McFrames* frames, McMadeWith* out) {
    mc::write_c(frames->made_with, out);
}

void mc_session_on_step(McSession* s, McStep call, void* user) {
    s->on_step = call;
    s->user = user;
}

void mc_frames_work(const McFrames* f, McFramesWork* out) {
    const McFramesWork full{out->struct_size, f->chunk, f->work, f->width / TOKEN, f->height / TOKEN, f->reuse};
    std::memcpy(out, &full, std::min(out->struct_size, sizeof full));
}

// A token is of the ball where its middle is.
void mc_frames_map(const McFrames* f, int index, uint8_t* computed, float* motion) {
    const Pattern pattern{f->seed, f->width, f->height, f->first + index, f->strip};
    for (int y = TOKEN / 2; y < f->height; y += TOKEN)
        for (int x = TOKEN / 2; x < f->width; x += TOKEN) {
            const bool moves = !f->reuse || in_ball(pattern, x, y);
            if (computed) *computed++ = uint8_t(moves ? 255 : 255 / REUSED);
            if (motion && f->reuse) *motion++ = moves ? 1.0f : 0.25f;
        }
}

int mc_frames_count(const McFrames* frames) {
    return frames->count;
}
int64_t mc_frames_first(const McFrames* frames) {
    return frames->first;
}
void mc_frames_free(McFrames* frames) {
    delete frames;
}

void mc_session_on_reading(McSession*, McProgress, void*) {} // there is nothing to read

int mc_frames_prepare(const McFrames*, McPixelFormat, McError* error) {
    return guarded(error, [] { return 1; });
}

// Chroma is that of the top left pixel of each four: the pattern is meant to be told apart, not to be pretty.
void mc_frames_write(const McFrames* frames, int index, McPixelFormat format, uint8_t* const planes[3],
                     const int strides[3]) {
    for (int y = 0; y < frames->height; y++) {
        uint8_t* row = planes[0] + ptrdiff_t(y) * strides[0];
        for (int x = 0; x < frames->width; x++) {
            uint8_t c[3];
            put(*frames, index, x, y, c);
            if (format == MC_RGB) {
                std::memcpy(row + 3 * x, c, 3);
                continue;
            }
            row[x] = uint8_t(16.5 + 0.18259 * c[0] + 0.61423 * c[1] + 0.06201 * c[2]);
            if ((x | y) & 1) continue;
            const auto u = uint8_t(128.5 - 0.10064 * c[0] - 0.33857 * c[1] + 0.43922 * c[2]);
            const auto v = uint8_t(128.5 + 0.43922 * c[0] - 0.39894 * c[1] - 0.04027 * c[2]);
            if (format == MC_I420) {
                planes[1][ptrdiff_t(y / 2) * strides[1] + x / 2] = u;
                planes[2][ptrdiff_t(y / 2) * strides[2] + x / 2] = v;
            } else {
                uint8_t* pair = planes[1] + ptrdiff_t(y / 2) * strides[1] + x;
                pair[0] = u, pair[1] = v;
            }
        }
    }
}

int mc_frames_device(const McFrames* frames) {
    return frames->gpu ? 0 : -1;
}

int mc_frames_write_device(const McFrames* frames, int index, McPixelFormat format, uint8_t* const planes[3],
                           const int strides[3], McError* error) {
    return guarded(error, [&] {
        if (frames->lost)
            throw mc::Error(MC_ERROR_DEVICE, "The GPU is lost, as MOTIONCACHE_TESTPATTERN asks: drop fail=write.");
        mc_frames_write(frames, index, format, planes, strides);
        return 1;
    });
}

void mc_session_stats(McSession* s, McStats* out) {
    const size_t size = out->struct_size;
    McStats full{};
    full.struct_size = size;
    full.seed = s->seed;
    full.frames = s->frames;
    full.frames_total = s->frames_total;
    full.chunks = s->chunks;
    full.chunks_total = s->chunks_total;
    full.forwards = s->forwards;
    full.forwards_total = s->chunks_total < 0 ? MC_ENDLESS : s->chunks_total * s->steps * s->forwards_a_step;
    full.width = s->width;
    full.height = s->height;
    full.cache = MC_CACHE_NONE;
    full.window_chunks = s->model->knobs.window;
    full.work = work_of(*s, s->forwards);
    full.seconds_transformer = s->seconds;
    full.step = int32_t(s->forwards / s->forwards_a_step - s->chunks * s->steps);
    full.steps = s->steps;
    std::memcpy(out, &full, std::min(size, sizeof full));
}

int mc_session_chunk_stats(McSession* s, int64_t index, McChunkStats* out) {
    if (index < 0 || index >= s->chunks || index < s->chunks - MC_CHUNKS_KEPT) return 0;
    const size_t size = out->struct_size;
    McChunkStats full{};
    full.struct_size = size;
    full.first_frame = index ? 4 * s->chunk * index - 3 : 0;
    full.frames = index ? 4 * s->chunk : 4 * s->chunk - 3;
    if (s->frames_total >= 0) full.frames = std::min(full.frames, s->frames_total - full.first_frame);
    full.work = work_of(*s, s->steps * s->forwards_a_step);
    std::memcpy(out, &full, std::min(size, sizeof full));
    return 1;
}
