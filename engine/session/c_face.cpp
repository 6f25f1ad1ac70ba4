// The C face over Family, Session and Frames: translates, and keeps exceptions inside.
#include <c10/core/InferenceMode.h>
#include <c10/util/Exception.h>
#include <cmath>
#include <cstring>
#include <new>

#include "engine/motioncache.h"
#include "engine/session/session.h"
#include "kernels/kernels.h"

struct McModel {
    std::shared_ptr<const mc::session::Family> loaded;
};
struct McSession {
    std::unique_ptr<mc::session::Session> session;
};
struct McFrames {
    mc::session::Frames frames;
};

namespace {

void set_error(McError* error, McStatus status, const std::string& message, const std::string& detail = {}) {
    if (!error) return;
    error->status = status;
    std::snprintf(error->message, sizeof error->message, "%s", message.c_str());
    std::snprintf(error->detail, sizeof error->detail, "%s", detail.c_str());
}

// Runs `body` and turns whatever it throws into `error`; its value, or a null one.
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

std::optional<int> given(int32_t value) {
    return value == MC_UNSET ? std::nullopt : std::optional<int>(value);
}
std::optional<double> given(double value) {
    return std::isnan(value) ? std::nullopt : std::optional<double>(value);
}

// Of a C enum whose 0 is auto; the others in order.
template <typename T>
std::optional<T> chosen(int value, std::initializer_list<T> values) {
    if (value == 0) return std::nullopt;
    if (value < 0 || value > static_cast<int>(values.size()))
        throw mc::Error(MC_ERROR_SETTINGS,
                        "A setting has the number " + std::to_string(value) +
                            ", which this version does not know: take one of the names in motioncache.h.");
    return values.begin()[value - 1];
}

std::optional<mc::sampler::Image> copy_image(const McImage& image, const char* name) {
    if (!image.rgb) return std::nullopt;
    if (image.width < 1 || image.height < 1 || image.width > 32768 || image.height > 32768 ||
        image.stride < 3 * static_cast<size_t>(image.width))
        throw mc::Error(
            MC_ERROR_SETTINGS,
            std::string(name) +
                " must be 1 to 32768 pixels wide and high, its rows at least 3 bytes a pixel apart.");
    mc::sampler::Image copy;
    copy.width = image.width;
    copy.height = image.height;
    for (int y = 0; y < image.height; y++) {
        const uint8_t* row = image.rgb + y * image.stride;
        copy.rgb.insert(copy.rgb.end(), row, row + 3 * static_cast<size_t>(image.width));
    }
    return copy;
}

McWork work_of(const mc::sampler::ChunkCount& c) {
    return {c.turns, c.whole, c.sparse, c.reused, c.extra, c.tokens_computed, c.tokens_reused};
}

mc::session::Request translate(const McRequest& r) {
    mc::session::Request q;
    q.prompt = r.prompt ? r.prompt : "";
    if (r.negative_prompt) q.negative_prompt = r.negative_prompt;
    q.seed = r.seed;
    q.width = given(r.width);
    q.height = given(r.height);
    q.frame_rate_n = given(r.frame_rate_n);
    q.frame_rate_d = given(r.frame_rate_d);
    q.num_frames = given(r.num_frames);
    q.steps = given(r.steps);
    q.guidance_scale = given(r.guidance_scale);
    q.shift = given(r.shift);
    q.causal_block_size = given(r.causal_block_size);
    q.ar_step = given(r.ar_step);
    q.base_num_frames = given(r.base_num_frames);
    q.overlap_history = given(r.overlap_history);
    q.addnoise_condition = given(r.addnoise_condition);
    if (r.long_video != MC_LONG_VIDEO_AUTO)
        q.long_video =
            r.long_video == MC_LONG_VIDEO_PIXEL ? mc::model::LongVideo::PIXEL : mc::model::LongVideo::LATENT;
    using namespace mc::cache;
    using mc::model::Attention;
    using mc::sampler::Finished;
    using mc::session::Preset;
    q.attention = chosen(r.attention, {Attention::FULL, Attention::CAUSAL, Attention::KV});
    q.cache.kind = chosen(r.cache, {Kind::NONE, Kind::TEACACHE, Kind::FLOWCACHE, Kind::MOTIONCACHE});
    q.cache.preset =
        chosen(r.cache_preset, {Preset::QUALITY, Preset::BALANCED, Preset::FAST, Preset::CUSTOM});
    q.cache.threshold = given(r.cache_threshold);
    q.cache.warmup = given(r.cache_warmup);
    q.cache.coarse_updates = given(r.cache_coarse_updates);
    q.cache.weights =
        chosen(r.cache_weights, {Weights::NONE, Weights::MEAN, Weights::MAX, Weights::MAX_RESCALE});
    q.cache.weight_floor = given(r.cache_weight_floor);
    q.cache.distance = chosen(r.cache_distance, {Distance::GLOBAL, Distance::TOKEN});
    q.cache.vote = given(r.cache_vote);
    q.cache.min_ratio = given(r.cache_min_ratio);
    q.cache.first_share = given(r.cache_first_share);
    q.cache.noise_power = given(r.cache_noise_power);
    q.cache.reuse = chosen(r.cache_reuse, {Reuse::REPEAT, Reuse::TAYLOR, Reuse::SOLVER});
    q.finished_chunks = chosen(r.finished_chunks, {Finished::FROZEN, Finished::REFRESHED});
    q.reference_windows = r.reference_windows != 0;
    q.image = copy_image(r.image, "image");
    q.end_image = copy_image(r.end_image, "end-image");
    q.cancel = mc::Cancel(r.cancel);
    return q;
}

std::string path_of(const McModelOptions& o) {
    if (!o.path) throw mc::Error(MC_ERROR_SETTINGS, "No model: set the path of a model folder.");
    return o.path;
}

mc::session::LoadOptions translate(const McModelOptions& o) {
    mc::session::LoadOptions options;
    if (o.device && *o.device) options.device = o.device;
    if (o.precision != MC_PRECISION_AUTO)
        options.precision =
            o.precision == MC_PRECISION_FLOAT32 ? mc::Precision::FLOAT32 : mc::Precision::BFLOAT16;
    if (o.threads < 0 || o.threads > 1024)
        throw mc::Error(MC_ERROR_SETTINGS, "threads must be 0 (as many as processors) to 1024.");
    options.threads = o.threads;
    options.cancel = mc::Cancel(o.cancel);
    void* user = o.user;
    if (o.progress)
        options.progress = [user, call = o.progress](double fraction, const char* part) {
            call(user, fraction, part);
        };
    if (o.log)
        options.log = [user, call = o.log](int level, const std::string& text) {
            call(user, level, text.c_str());
        };
    return options;
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

void mc_model_options_init(McModelOptions* options) {
    *options = McModelOptions{};
    options->struct_size = sizeof *options;
}

McModel* mc_model_open(const McModelOptions* o, McError* error) {
    return guarded(error, [&]() -> McModel* {
        return new McModel{mc::session::open_family(path_of(*o), translate(*o))};
    });
}

int mc_request_check(const McModelOptions* o, const McRequest* request, McError* error) {
    return guarded(error, [&] {
        c10::InferenceMode guard;
        mc::session::check_early(path_of(*o), translate(*o), translate(*request));
        return 1;
    });
}

void mc_model_unref(McModel* model) {
    delete model;
}

void mc_request_init(McRequest* r) {
    *r = McRequest{};
    r->struct_size = sizeof *r;
    r->seed = -1;
    for (int32_t* field :
         {&r->width, &r->height, &r->frame_rate_n, &r->frame_rate_d, &r->num_frames, &r->steps,
          &r->causal_block_size, &r->ar_step, &r->base_num_frames, &r->overlap_history,
          &r->addnoise_condition, &r->cache_warmup, &r->cache_coarse_updates})
        *field = MC_UNSET;
    for (double* field : {&r->guidance_scale, &r->shift, &r->cache_threshold, &r->cache_weight_floor,
                          &r->cache_vote, &r->cache_min_ratio, &r->cache_first_share, &r->cache_noise_power})
        *field = NAN;
}

McSession* mc_session_new(McModel* model, const McRequest* request, McError* error) {
    return guarded(error, [&]() -> McSession* {
        return new McSession{std::make_unique<mc::session::Session>(model->loaded, translate(*request))};
    });
}

void mc_session_free(McSession* session) {
    delete session;
}

McFrames* mc_session_next(McSession* session, McError* error) {
    return guarded(error, [&]() -> McFrames* {
        auto frames = session->session->next();
        return frames ? new McFrames{{frames->pixels.contiguous(), frames->first}} : nullptr;
    });
}

int mc_frames_count(const McFrames* frames) {
    return static_cast<int>(frames->frames.pixels.size(1));
}
int64_t mc_frames_first(const McFrames* frames) {
    return frames->frames.first;
}

void mc_frames_write(const McFrames* f, int index, McPixelFormat format, uint8_t* const planes[3],
                     const int strides[3]) {
    const at::Tensor& t = f->frames.pixels; // [3, n, H, W]
    size_t height = t.size(2), width = t.size(3);
    mc::kernels::Picture picture{t.const_data_ptr<float>() + index * height * width,
                                 static_cast<size_t>(t.stride(0)), width, height};
    size_t s[3] = {};
    for (int p = 0, n = format == MC_RGB ? 1 : format == MC_NV12 ? 2 : 3; p < n; p++) s[p] = strides[p];
    switch (format) {
    case MC_I420:
        return mc::kernels::picture_to_i420(picture, planes, s);
    case MC_NV12:
        return mc::kernels::picture_to_nv12(picture, planes, s);
    case MC_RGB:
        return mc::kernels::picture_to_rgb(picture, planes[0], s[0]);
    }
}

void mc_frames_unref(McFrames* frames) {
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
