// SPDX-License-Identifier: LGPL-2.1-or-later
// The C API over Family, Session and Frames: translates, and keeps exceptions inside.
#include <atomic>
#include <c10/core/InferenceMode.h>
#include <c10/util/Exception.h>
#include <cstring>
#include <new>

#include "engine/device.h"
#include "engine/motioncache.h"
#include "engine/request/c_request.h"
#include "engine/session/pictures.h"
#include "engine/session/session.h"

struct McModel {
    std::shared_ptr<const mc::session::Family> loaded;
};
struct McSession {
    std::unique_ptr<mc::session::Session> session;
    // Chunks handed out and not yet freed.
    std::shared_ptr<std::atomic<int>> out = std::make_shared<std::atomic<int>>(0);
};
struct McFrames {
    mc::session::Frames frames;
    mc::session::Pictures pictures{std::move(frames.pixels)};
    std::shared_ptr<std::atomic<int>> out;
    ~McFrames() { --*out; }
};

namespace {

void set_error(McError* error, McStatus status, const std::string& message, const std::string& detail = {}) {
    if (!error) return;
    error->status = status;
    std::snprintf(error->message, sizeof error->message, "%s", message.c_str());
    std::snprintf(error->detail, sizeof error->detail, "%s", detail.c_str());
}

// Runs `body` and turns any exception into `error`; returns its value, or a null one.
template <typename F>
auto guarded(McError* error, const F& body) -> decltype(body()) {
    set_error(error, MC_OK, "");
    try {
        return body();
    } catch (const mc::Error& e) {
        set_error(error, e.status, e.what(), e.detail);
    } catch (const std::bad_alloc&) {
        set_error(error, MC_ERROR_MEMORY,
                  "Out of memory; ask for a smaller picture, fewer frames or a smaller model.");
    } catch (const c10::OutOfMemoryError& e) {
        set_error(error, MC_ERROR_MEMORY,
                  "Out of device memory; ask for a smaller picture, fewer frames or a smaller model.",
                  e.what_without_backtrace());
    } catch (const c10::Error& e) {
        std::string what = e.what_without_backtrace();
        bool memory = what.find("not enough memory") != std::string::npos ||
                      what.find("can't allocate memory") != std::string::npos;
        set_error(error, memory ? MC_ERROR_MEMORY : MC_ERROR_INTERNAL,
                  memory ? "Out of memory; ask for a smaller picture, fewer frames or a smaller model."
                         : "LibTorch refused an operation; please report this with the detail.",
                  what);
    } catch (const std::exception& e) {
        set_error(error, MC_ERROR_INTERNAL,
                  "An unexpected fault of the engine; please report this with the detail.", e.what());
    }
    return {};
}

std::optional<mc::sampler::Image> copy_image(const McImage& image, const char* name) {
    if (!image.rgb) return std::nullopt;
    if (image.width < 1 || image.height < 1 || image.width > 32768 || image.height > 32768 ||
        image.stride < 3 * static_cast<size_t>(image.width))
        throw mc::Error(
            MC_ERROR_SETTINGS,
            std::string(name) +
                " must be 1 to 32768 pixels wide and high, its rows at least 3 bytes per pixel apart.");
    mc::sampler::Image copy;
    copy.width = image.width;
    copy.height = image.height;
    for (int y = 0; y < image.height; y++) {
        const uint8_t* row = image.rgb + y * image.stride;
        copy.rgb.insert(copy.rgb.end(), row, row + 3 * static_cast<size_t>(image.width));
    }
    return copy;
}

std::optional<mc::sampler::Clip> copy_clip(const McClip& clip, const char* name) {
    if (!clip.rgb) return std::nullopt;
    if (clip.frames < 1 || clip.frames > 100000)
        throw mc::Error(MC_ERROR_SETTINGS, std::string(name) + " has " + std::to_string(clip.frames) +
                                               " frames: give a video of 1 to 100000 frames.");
    if (clip.frame_rate_n < 1 || clip.frame_rate_d < 1)
        throw mc::Error(MC_ERROR_SETTINGS,
                        std::string(name) + " has no frame rate: give frame_rate_n and frame_rate_d.");
    mc::sampler::Clip copy{{}, clip.frame_rate_n, clip.frame_rate_d};
    for (int i = 0; i < clip.frames; i++) {
        const uint8_t* rgb = clip.rgb + static_cast<size_t>(i) * clip.frame_stride;
        copy.frames.push_back(*copy_image({rgb, clip.width, clip.height, clip.stride}, name));
    }
    return copy;
}

McWork work_of(const mc::sampler::ChunkCount& c) {
    return {c.turns, c.whole, c.partial, c.reused, c.extra, c.tokens_computed, c.tokens_reused};
}

mc::session::Request translate(const McRequest* caller) {
    const McRequest c = mc::whole_c(caller, "mc_request_init");
    mc::session::Request request;
    mc::read_c(c, request);
    if (c.cache) mc::read_c(mc::whole_c(c.cache, "mc_cache_options_init"), request);
    request.image = copy_image(c.image, "image");
    request.end_image = copy_image(c.end_image, "end-image");
    request.prefix_video = copy_clip(c.prefix_video, "prefix-video");
    request.cancel = mc::Cancel(c.cancel);
    return request;
}

struct Loading {
    std::string path;
    mc::session::LoadOptions options;
};

Loading translate(const McModelOptions* caller) {
    const McModelOptions c = mc::whole_c(caller, "mc_model_options_init");
    mc::Fields fields;
    mc::read_c(c, fields);
    mc::check_ranges(fields);
    const mc::ModelFields& model = fields.model;
    if (!model.path) throw mc::Error(MC_ERROR_SETTINGS, "No model: set the path of a model folder.");
    Loading loading{*model.path, {}};
    mc::session::LoadOptions& options = loading.options;
    if (model.device && !model.device->empty()) options.device = *model.device;
    options.precision = model.precision;
    options.weights_in_bytes = model.weights_precision == mc::StoredPrecision::INT8;
    options.threads = model.threads.value_or(0);
    options.cancel = mc::Cancel(c.cancel);
    void* user = c.user;
    if (c.progress)
        options.progress = [user, call = c.progress](double fraction, const char* part) {
            call(user, fraction, part);
        };
    if (c.log)
        options.log = [user, call = c.log](int level, const std::string& text) {
            call(user, level, text.c_str());
        };
    return loading;
}

} // namespace

extern "C" {

uint32_t mc_abi_version(void) {
    return MC_ABI_VERSION;
}

McCancel* mc_cancel_new(void) {
    return new (std::nothrow) McCancel;
}
void mc_cancel_set(McCancel* cancel) {
    cancel->set = true;
}
void mc_cancel_free(McCancel* cancel) {
    delete cancel;
}

void mc_model_options_init(McModelOptions* options, size_t size) {
    mc::init_c(options, size);
}
void mc_request_init(McRequest* request, size_t size) {
    mc::init_c(request, size);
}
void mc_cache_options_init(McCacheOptions* options, size_t size) {
    mc::init_c(options, size);
}

McModel* mc_model_open(const McModelOptions* options, McError* error) {
    return guarded(error, [&]() -> McModel* {
        const Loading loading = translate(options);
        return new McModel{mc::session::open_family(loading.path, loading.options)};
    });
}

int mc_request_check(const McModelOptions* options, const McRequest* request, McError* error) {
    return guarded(error, [&] {
        c10::InferenceMode guard;
        const Loading loading = translate(options);
        mc::session::check_early(loading.path, loading.options, translate(request));
        return 1;
    });
}

int mc_plan(const McModelOptions* options, const McRequest* request, McPlan* out, McError* error) {
    return guarded(error, [&] {
        c10::InferenceMode guard;
        const Loading loading = translate(options);
        const auto f = mc::session::forecast_memory(loading.path, loading.options, translate(request));
        McPlan plan{};
        plan.struct_size = out->struct_size;
        std::snprintf(plan.device, sizeof plan.device, "%s", f.device.str().c_str());
        plan.fits = f.total <= f.free;
        plan.text_encoder_apart = f.text_device != f.device;
        plan.bytes_transformer = f.transformer;
        plan.bytes_text_encoder = f.text_encoder;
        plan.bytes_vae = f.vae_weights;
        plan.bytes_keys_values = f.keys_values;
        plan.bytes_cache = f.cache;
        plan.bytes_activations = f.activations;
        plan.bytes_vae_work = f.vae;
        plan.bytes_text_work = f.text;
        plan.bytes_total = f.total;
        plan.bytes_free = f.free;
        std::snprintf(plan.would_fit, sizeof plan.would_fit, "%s", f.would_fit.c_str());
        plan.bytes_streamed = f.streamed;
        std::memcpy(out, &plan, std::min(out->struct_size, sizeof plan));
        return 1;
    });
}

// glibc keeps what short-lived threads have freed in heaps of its own, some 10 MB more every few models.
static void give_back() {
    mc::give_back_memory(at::kCPU);
}

void mc_model_free(McModel* model) {
    delete model;
    give_back();
}

McSession* mc_session_new(McModel* model, const McRequest* request, McError* error) {
    return guarded(error, [&]() -> McSession* {
        return new McSession{std::make_unique<mc::session::Session>(model->loaded, translate(request))};
    });
}

void mc_session_free(McSession* session) {
    delete session; // the last one of a model frees that
    give_back();
}

McFrames* mc_session_next(McSession* session, McError* error) {
    return guarded(error, [&]() -> McFrames* {
        auto frames = session->session->next(*session->out < mc::session::CHUNKS_ON_DEVICE);
        if (!frames) return nullptr;
        auto* out = new McFrames{.frames = std::move(*frames), .out = session->out};
        ++*session->out;
        return out;
    });
}

void mc_update_init(McUpdate* update, size_t size) {
    mc::init_c(update, size);
}

int64_t mc_session_update(McSession* session, const McUpdate* caller, McError* error) {
    return guarded(error, [&]() -> int64_t {
        const McUpdate c = mc::whole_c(caller, "mc_update_init");
        mc::Fields wanted;
        if (c.cache) mc::read_c(mc::whole_c(c.cache, "mc_cache_options_init"), wanted);
        mc::read_c(c, wanted);
        return session->session->update(wanted, c.queued ? std::optional<int64_t>(c.frames) : std::nullopt,
                                        c.cache);
    });
}

void mc_session_on_step(McSession* session, McStep call, void* user) {
    session->session->on_step(call ? [call, user] { call(user); } : std::function<void()>());
}

void mc_session_clear_updates(McSession* session) {
    session->session->clear_updates();
}

void mc_frames_made_with(const McFrames* frames, McMadeWith* out) {
    mc::write_c(*frames->frames.made_with, out);
}

void mc_frames_work(const McFrames* f, McFramesWork* out) {
    const mc::session::Frames& frames = f->frames;
    const mc::sampler::TokenMap& map = *frames.map;
    const McFramesWork full{out->struct_size, frames.chunk, work_of(frames.count),
                            map.columns,      map.rows,     !map.motion.empty()};
    std::memcpy(out, &full, std::min(out->struct_size, sizeof full));
}

void mc_frames_map(const McFrames* f, int index, uint8_t* computed, float* motion) {
    const mc::sampler::TokenMap& map = *f->frames.map;
    const ptrdiff_t tokens = static_cast<ptrdiff_t>(map.rows) * map.columns,
                    begin = map.frame_of(index, f->frames.decoded) * tokens;
    if (computed) std::copy_n(map.computed.begin() + begin, tokens, computed);
    if (motion && !map.motion.empty()) std::copy_n(map.motion.begin() + begin, tokens, motion);
}

int mc_frames_count(const McFrames* frames) {
    return static_cast<int>(frames->pictures.count());
}
int64_t mc_frames_first(const McFrames* frames) {
    return frames->frames.first;
}

static mc::session::Pictures::Format format_of(McPixelFormat format) {
    using Format = mc::session::Pictures::Format;
    return format == MC_I420 ? Format::I420 : format == MC_NV12 ? Format::NV12 : Format::RGB;
}

void mc_session_on_reading(McSession* session, McProgress progress, void* user) {
    session->session->on_reading({});
    if (progress) session->session->on_reading([=](double share) { progress(user, share, "text encoder"); });
}

int mc_frames_prepare(const McFrames* f, McPixelFormat format, McError* error) {
    return guarded(error, [&] {
        f->pictures.prepare(format_of(format));
        return 1;
    });
}

namespace {
struct Strides {
    size_t of[3] = {};
    Strides(McPixelFormat format, const int strides[3]) {
        for (int p = 0, n = format == MC_RGB ? 1 : format == MC_NV12 ? 2 : 3; p < n; p++) of[p] = strides[p];
    }
};
} // namespace

void mc_frames_write(const McFrames* f, int index, McPixelFormat format, uint8_t* const planes[3],
                     const int strides[3]) {
    const auto as = format_of(format);
    const Strides s(format, strides);
    try {
        f->pictures.write(index, as, planes, s.of);
    } catch (const std::exception&) { // as mc_frames_prepare tells
        f->pictures.write_black(as, planes, s.of);
    }
}

int mc_frames_device(const McFrames* f) {
    const auto device = f->pictures.device();
    return device ? device->index() : -1;
}

int mc_frames_write_device(const McFrames* f, int index, McPixelFormat format, uint8_t* const planes[3],
                           const int strides[3], McError* error) {
    return guarded(error, [&] {
        if (!f->pictures.device())
            throw mc::Error(
                MC_ERROR_SETTINGS,
                "The frames are in main memory: write them with mc_frames_write, as mc_frames_device tells.");
        f->pictures.write_there(index, format_of(format), planes, Strides(format, strides).of);
        return 1;
    });
}

void mc_frames_free(McFrames* frames) {
    delete frames;
}

void mc_session_stats(McSession* session, McStats* out) {
    mc::session::Stats s = session->session->stats();
    McStats full{};
    full.struct_size = out->struct_size;
    full.seed = s.seed;
    full.frames = s.frames;
    full.frames_total = s.frames_total;
    full.chunks = s.chunks;
    full.chunks_total = s.chunks_total;
    full.forwards = s.forwards;
    full.forwards_total = s.forwards_total;
    full.seconds_text = s.seconds_text;
    full.seconds_transformer = s.seconds_transformer;
    full.seconds_schedule = s.seconds_schedule;
    full.seconds_vae = s.seconds_vae;
    full.flop_transformer = s.flop_transformer;
    full.flop_text = s.flop_text;
    full.flop_vae = s.flop_vae;
    full.bytes_weights = s.bytes_weights;
    full.bytes_planned = s.bytes_planned;
    full.width = s.width;
    full.height = s.height;
    full.cache = static_cast<McCache>(static_cast<int>(s.cache) + 1);
    full.work = work_of(s.count);
    full.seconds_cache = s.seconds_cache;
    full.bytes_keys_values = s.bytes_keys_values;
    full.bytes_cache = s.bytes_cache;
    full.window_chunks = s.window_chunks;
    full.step = s.step;
    full.steps = s.steps;
    std::memcpy(out, &full, std::min(out->struct_size, sizeof full));
}

int mc_session_chunk_stats(McSession* session, int64_t index, McChunkStats* out) {
    const auto chunk = index < 0 ? std::nullopt : session->session->chunk_stats(static_cast<size_t>(index));
    if (!chunk) return 0;
    const McChunkStats full{out->struct_size, chunk->first_frame, chunk->frames, work_of(chunk->count)};
    std::memcpy(out, &full, std::min(out->struct_size, sizeof full));
    return 1;
}

} // extern "C"
