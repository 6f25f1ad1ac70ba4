// SPDX-License-Identifier: LGPL-2.1-or-later
#include "gst/generator.h"

#include <cstdarg>
#include <exception>
#include <memory>
#include <utility>

#include "engine/request/c_request.h"
#include "gst/debug.h"

#define GST_CAT_DEFAULT motioncachegen_debug

namespace mc::gst {
namespace {

constexpr size_t LONGEST_PREFIX = 48; // frames of prefix-video that are kept: no model sees more than its last 32
constexpr std::chrono::milliseconds APPLICATION_READY{200}; // a generous guess of how long its state change takes

thread_local Generator* at_work = nullptr; // whose worker the calling thread is

double seconds_now() {
    return double(g_get_monotonic_time()) / G_USEC_PER_SEC;
}

[[noreturn]] void raise(const McError& error) {
    throw Error(error.status, error.message, error.detail);
}

McImage view_of(const ImageFile& image) {
    return {image.rgb.data(), image.width, image.height, size_t(3) * image.width};
}

McClip view_of(const VideoFile& video) {
    const size_t row = size_t(3) * video.width;
    return {video.rgb.data(),  video.width,         video.height,      video.frames, row,
            row * video.height, video.frame_rate_n, video.frame_rate_d};
}

// A request as the engine takes it; points into the values that it is built from.
struct CRequest {
    McCacheOptions cache;
    McRequest request;

    CRequest(const Fields& values, const std::optional<PictureFormat>& picture,
             const Generator::Images& images, McCancel* cancel) {
        init_c(&cache, sizeof cache);
        write_c(values, cache);
        init_c(&request, sizeof request);
        write_c(values, request);
        request.cache = &cache;
        request.cancel = cancel;
        if (picture) {
            request.width = picture->width;
            request.height = picture->height;
            request.frame_rate_n = picture->frame_rate_n;
            request.frame_rate_d = picture->frame_rate_d;
        }
        if (images.first) request.image = view_of(*images.first);
        if (images.last) request.end_image = view_of(*images.last);
        if (images.prefix) request.prefix_video = view_of(*images.prefix);
    }
    CRequest(const CRequest&) = delete;
};

} // namespace

Generator::Generator(GstElement* element, Outbox& outbox, std::function<void(gint64)> seed_used)
    : element_(element), outbox_(outbox), seed_used_(std::move(seed_used)) {}

Generator::~Generator() {
    stop();
    drop_model();
}

// ---- state changes ----

bool Generator::holds_model() const {
    return model_ && model_engine_ == job_.engine && model_key_.model == job_.settings.model;
}

void Generator::start(Job job) {
    job_ = std::move(job);
    started_ = std::chrono::steady_clock::now();
    {
        std::lock_guard lock(mutex_);
        quit_ = ended_ = failed_ = false;
        picture_.reset();
        times_ = {};
        pace_.reset();
        asked_threshold_.reset();
        threshold_ = {};
        most_threshold_ = job_.qos_cache_max;
        told_spent_ = false;
        pace_from_ = 0;
        caches_ = {{0, job_.settings.cache}};
    }
    progress_open_ = std::make_shared<std::atomic<bool>>(false);
    if (!holds_model()) open_progress();
    thread_ = std::thread([this] { run(); });
}

void Generator::end_early() {
    std::lock_guard lock(mutex_);
    quit_ = true;
    if (cancel_) engine_->cancel_set(cancel_);
    changed_.notify_all();
}

void Generator::await_application() {
    std::unique_lock lock(mutex_);
    changed_.wait_until(lock, started_ + APPLICATION_READY, [&] { return quit_ || flushing_; });
}

void Generator::stop() {
    if (!thread_.joinable()) return;
    end_early();
    thread_.join();
    outbox_.close(progress_message(GST_PROGRESS_TYPE_CANCELED, "Loading was cancelled"),
                  [open = progress_open_] { return open->exchange(false); });
    forget_frames();
    if (job_.keep_model == KeepModel::NEVER) drop_model();
    std::lock_guard lock(mutex_);
    waiting_.clear();
}

void Generator::forget_frames() {
    std::lock_guard lock(mutex_); // statistics may be asked for at any time
    for (McFrames* frames : queue_) engine_->frames_free(frames);
    queue_.clear();
    if (current_) engine_->frames_free(current_);
    current_ = nullptr;
    position_ = remaining_ = 0;
}

void Generator::drop_model() {
    model_.reset();
}

// ---- worker ----

void Generator::run() {
    at_work = this;
    std::optional<Fault> fault;
    try {
        // Before the model, so that a wrong path is reported at once.
        const Fields& s = job_.settings;
        Images images;
        if (s.image_file) images.first = read_image_file(*s.image_file, "image");
        if (s.end_image_file) images.last = read_image_file(*s.end_image_file, "end-image");
        const auto quit = [this] {
            std::lock_guard lock(mutex_);
            return quit_;
        };
        if (s.prefix_video_file)
            images.prefix = read_video_file(*s.prefix_video_file, "prefix-video", job_.model_rate_n, job_.model_rate_d,
                                            LONGEST_PREFIX, quit);
        load(images);
        sample(images);
    } catch (const Error& e) {
        if (e.status != MC_CANCELLED) fault = fault_of(e.status, e.what(), e.detail);
    } catch (const std::bad_alloc& e) {
        fault = fault_of(MC_ERROR_MEMORY, "There is not enough memory: generate a smaller or shorter video.",
                         e.what());
    } catch (const std::exception& e) {
        fault = fault_of(MC_ERROR_INTERNAL, "motioncachegen failed unexpectedly; please report it.",
                         e.what());
    }
    if (fault) await_application();
    // The error is posted before the end of the progress, which applications take for its consequence.
    if (fault) outbox_.post(message_of(element_, *fault));
    close_progress(fault ? GST_PROGRESS_TYPE_ERROR : GST_PROGRESS_TYPE_CANCELED,
                   fault ? "Loading failed" : "Loading was cancelled");

    std::lock_guard lock(mutex_);
    if (cancel_) engine_->cancel_free(cancel_);
    cancel_ = nullptr;
    (fault ? failed_ : ended_) = true;
    changed_.notify_all();
}

void Generator::load(const Images& images) {
    const gint64 begin = g_get_monotonic_time();
    const bool held = holds_model();
    const std::string files = files_of(*job_.settings.model.path);
    if (held && files != model_key_.files) open_progress();
    if (!held || files != model_key_.files) {
        drop_model();
        engine_ = &load_engine(job_.engine);
    }
    {
        std::lock_guard lock(mutex_);
        cancel_ = engine_->cancel_new();
        if (quit_) engine_->cancel_set(cancel_);
    }
    const bool keep = job_.keep_model == KeepModel::PROCESS;
    if (model_) {
        if (keep) ModelStore::of_process().keep(model_);
        tell("the model is still loaded");
        return;
    }
    const ModelKey key{engine_, job_.settings.model, files};
    const auto found = ModelStore::of_process().get(
        key, [&] { return open_model(images); },
        [this] {
            std::lock_guard lock(mutex_);
            return quit_;
        });
    model_ = found.model;
    model_key_ = key;
    model_engine_ = job_.engine;
    if (keep) ModelStore::of_process().keep(model_);
    if (found.opened)
        tell("engine and model loaded in %.3f s", (g_get_monotonic_time() - begin) / 1e6);
    else
        tell("the model is shared with another element, or was kept");
    close_progress(GST_PROGRESS_TYPE_COMPLETE, "The model is loaded");
}

McModel* Generator::open_model(const Images& images) {
    McModelOptions options;
    init_c(&options, sizeof options);
    write_c(job_.settings, options);
    options.cancel = cancel_;
    options.progress = on_progress;
    options.log = on_log;
    options.user = this; // for the progress alone
    McError error{};
    // Impossible requests are refused before weights are read, which takes long. The negotiated size is usually known
    // in a moment; if it is not, the session checks it.
    std::optional<PictureFormat> picture;
    {
        std::unique_lock lock(mutex_);
        changed_.wait_for(lock, std::chrono::seconds(1), [&] { return quit_ || picture_; });
        picture = picture_;
    }
    const CRequest asked(job_.settings, picture, images, cancel_);
    post_plan(options, asked.request); // also of what is refused next
    if (!engine_->request_check(&options, &asked.request, &error)) raise(error);
    McModel* model = engine_->model_open(&options, &error);
    if (!model) raise(error);
    return model;
}

void Generator::sample(const Images& images) {
    {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [&] { return quit_ || picture_; });
        if (quit_) return;
    }
    const CRequest asked(job_.settings, picture_, images, cancel_); // the picture is set once: see set_picture
    const McRequest& request = asked.request;

    McError error{};
    std::unique_ptr<McSession, void (*)(McSession*)> session(
        engine_->session_new(model_.get(), &request, &error), engine_->session_free);
    if (!session) raise(error);
    // Statistics can be read, and changes be made, while the session lives, and of the last session afterwards.
    struct Shown {
        Generator& g;
        Shown(Generator& g, McSession* session) : g(g) {
            std::lock_guard lock(g.mutex_);
            g.queue_waiting(session);
            g.session_ = session;
        }
        ~Shown() {
            std::lock_guard lock(g.mutex_);
            g.last_stats_ = stats_of(*g.engine_, g.session_);
            g.session_ = nullptr;
        }
    } shown(*this, session.get());
    const gint64 seed = total_of(*engine_, session.get()).seed;
    tell("seed %" G_GINT64_FORMAT ", %dx%d, %d frames", seed, request.width, request.height,
         request.num_frames);
    seed_used_(seed);
    pulse_.forget();
    engine_->session_on_step(session.get(), on_step, this);
    engine_->session_on_reading(session.get(), on_reading, this);

    for (int index = 0;; index++) {
        {
            std::lock_guard lock(mutex_);
            times_.begin(seconds_now());
        }
        McFrames* frames = engine_->session_next(session.get(), &error);
        if (!frames && error.status != MC_OK) raise(error);
        if (!frames) return post_progress(session.get());
        double seconds;
        {
            std::lock_guard lock(mutex_);
            seconds = times_.end(seconds_now(), engine_->frames_count(frames));
        }
        post_chunk(session.get(), frames, index);
        keep_pace(session.get(), frames, seconds);
        if (!put(frames)) return;
    }
}

gint64 Generator::update() const {
    McMadeWith with{};
    with.struct_size = sizeof with;
    engine_->frames_made_with(current_, &with);
    return with.update;
}

MadeWith Generator::made_with() const {
    return made_with(current_);
}

MadeWith Generator::made_with(const McFrames* frames) const {
    McMadeWith with{};
    with.struct_size = sizeof with;
    engine_->frames_made_with(frames, &with);
    const CacheKind cache =
        with.cache == MC_CACHE_AUTO ? CacheKind::NONE : CacheKind(with.cache - 1); // AUTO: not told
    return {with.update, with.prompt, with.negative_prompt, with.guidance_scale, with.cache_threshold,
            cache};
}

bool Generator::put(McFrames* frames) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return quit_ || queue_.size() < size_t(job_.queue_chunks); });
    // What is finished is delivered even when the stream ends early; stop() forgets it.
    queue_.push_back(frames);
    changed_.notify_all();
    return !quit_;
}

Generator::Pace Generator::pace() const {
    std::lock_guard lock(mutex_);
    return {int(queue_.size()), times_.frames(), remaining_,      times_.worst(),
            times_.usual(),     times_.left(seconds_now()), times_.mean(window_chunks_), quit_ || ended_ || failed_};
}

Generator::Threshold Generator::threshold() const {
    std::lock_guard lock(mutex_);
    return threshold_;
}

Stats Generator::stats() const {
    std::lock_guard lock(mutex_);
    return session_ ? stats_of(*engine_, session_) : last_stats_;
}

void Generator::post_plan(const McModelOptions& options, const McRequest& request) {
    McModelOptions silent = options;
    silent.log = nullptr; // what there is to warn of is told by the check
    McPlan plan{};
    plan.struct_size = sizeof plan;
    McError error{};
    if (!engine_->plan(&silent, &request, &plan, &error)) return; // told by the check too
    auto bytes = [](int64_t count) { return gint64(count); };
    outbox_.post(gst_message_new_element(
        GST_OBJECT(element_),
        gst_structure_new("motioncache-plan", "device", G_TYPE_STRING, plan.device, "fits", G_TYPE_BOOLEAN, plan.fits,
                          "text-encoder-apart", G_TYPE_BOOLEAN, plan.text_encoder_apart, "bytes-transformer",
                          G_TYPE_INT64, bytes(plan.bytes_transformer), "bytes-streamed", G_TYPE_INT64,
                          bytes(plan.bytes_streamed), "bytes-text-encoder", G_TYPE_INT64,
                          bytes(plan.bytes_text_encoder), "bytes-vae", G_TYPE_INT64, bytes(plan.bytes_vae),
                          "bytes-keys-values", G_TYPE_INT64, bytes(plan.bytes_keys_values), "bytes-cache", G_TYPE_INT64,
                          bytes(plan.bytes_cache), "bytes-activations", G_TYPE_INT64, bytes(plan.bytes_activations),
                          "bytes-vae-work", G_TYPE_INT64, bytes(plan.bytes_vae_work), "bytes-text-work", G_TYPE_INT64,
                          bytes(plan.bytes_text_work), "bytes-total", G_TYPE_INT64, bytes(plan.bytes_total),
                          "bytes-free", G_TYPE_INT64, bytes(plan.bytes_free), "would-fit", G_TYPE_STRING,
                          plan.would_fit, nullptr)));
}

void Generator::post_chunk(McSession* session, const McFrames* frames, int index) {
    const McStats stats = total_of(*engine_, session);
    outbox_.post(
        gst_message_new_element(
            GST_OBJECT(element_),
            gst_structure_new("motioncache-chunk", "index", G_TYPE_INT, index, "first-frame", G_TYPE_INT64,
                              gint64(engine_->frames_first(frames)), "frames", G_TYPE_INT,
                              engine_->frames_count(frames), "forwards", G_TYPE_INT64, gint64(stats.forwards),
                              "forwards-total", G_TYPE_INT64, gint64(stats.forwards_total), nullptr)));
}

void Generator::post_progress(McSession* session) {
    outbox_.post(gst_message_new_element(GST_OBJECT(element_), progress_of(total_of(*engine_, session))));
}

// The session calls it from the worker, which alone sets and clears the pointer.
void Generator::on_step(void* user) {
    auto* self = static_cast<Generator*>(user);
    if (self->pulse_.due()) self->post_progress(self->session_);
}

void Generator::post_threshold(double before, double now, gint64 frame) {
    outbox_.post(gst_message_new_element(
        GST_OBJECT(element_), gst_structure_new("motioncache-qos", "cache-threshold", G_TYPE_DOUBLE, now,
                                                "before", G_TYPE_DOUBLE, before, "load", G_TYPE_DOUBLE,
                                                pace_->load(), "frame", G_TYPE_INT64, frame, nullptr)));
}

void Generator::open_progress(const char* text) {
    percent_ = 0;
    outbox_.post(progress_message(GST_PROGRESS_TYPE_START, text),
                 [open = progress_open_] { return *open = true; });
}

void Generator::close_progress(GstProgressType type, const char* text) {
    outbox_.post(progress_message(type, text), [open = progress_open_] { return open->exchange(false); });
}

GstMessage* Generator::progress_message(GstProgressType type, const char* text) const {
    GstMessage* message = gst_message_new_progress(GST_OBJECT(element_), type, "loading", text);
    if (type == GST_PROGRESS_TYPE_CONTINUE)
        gst_structure_set(gst_message_writable_structure(message), "percent", G_TYPE_INT, percent_, nullptr);
    return message;
}

void Generator::on_progress(void* user, double fraction, const char* part) {
    auto* self = static_cast<Generator*>(user);
    const int percent = int(fraction * 100);
    if (percent < self->percent_ + 10) return; // each is a message for the application to handle
    self->percent_ = percent;
    const std::string text = "Loading the " + std::string(part) + " (" + std::to_string(percent) + " %)";
    self->outbox_.post(self->progress_message(GST_PROGRESS_TYPE_CONTINUE, text.c_str()));
}

// Of a text encoder, in the middle of a video or before its first step.
void Generator::on_reading(void* user, double fraction, const char* part) {
    auto* self = static_cast<Generator*>(user);
    if (fraction <= 0)
        self->open_progress("Loading the text encoder");
    else if (fraction < 1)
        on_progress(user, fraction, part);
    else
        self->close_progress(GST_PROGRESS_TYPE_COMPLETE, "The text encoder is loaded");
}

// A warning of the engine is meant for the user of the pipeline, who does not read the log. A model that is shared
// tells it to the element that is at work in this thread, for the one that opened it may be gone.
void Generator::on_log(void*, int level, const char* text) {
    Generator* self = at_work;
    if (!self)
        return gst_debug_log(motioncache_engine_debug, GstDebugLevel(level), __FILE__, __func__, __LINE__,
                             nullptr, "%s", text);
    self->outbox_.log(motioncache_engine_debug, GstDebugLevel(level), text);
    if (level == GST_LEVEL_WARNING)
        self->outbox_.post(message_of(
            self->element_, {GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_SETTINGS, text, ""}, GST_MESSAGE_WARNING));
}

void Generator::tell(const char* format, ...) {
    va_list values;
    va_start(values, format);
    gchar* text = g_strdup_vprintf(format, values);
    va_end(values);
    outbox_.log(motioncachegen_debug, GST_LEVEL_INFO, text);
    g_free(text);
}

// ---- streaming thread ----

void Generator::set_picture(const PictureFormat& picture) {
    std::lock_guard lock(mutex_);
    if (picture_) return;
    picture_ = picture;
    changed_.notify_all();
}

void Generator::set_flushing(bool flushing) {
    {
        std::lock_guard lock(mutex_);
        flushing_ = flushing;
        changed_.notify_all();
    }
    outbox_.set_flushing(flushing);
}

Generator::Next Generator::wait(const std::function<bool()>& give_up) {
    std::unique_lock lock(mutex_);
    const auto come = [&] { return flushing_ || current_ || !queue_.empty() || ended_ || failed_; };
    changed_.wait(lock, [&] { return come() || (give_up && give_up()); });
    if (flushing_) return Next::FLUSHING;
    if (current_) return Next::FRAME;
    if (!come()) return Next::NOT_YET;
    if (!queue_.empty()) {
        current_ = queue_.front();
        queue_.pop_front();
        position_ = 0;
        remaining_ = engine_->frames_count(current_);
        changed_.notify_all();
    }
    lock.unlock();
    outbox_.await();
    lock.lock();
    if (flushing_) return Next::FLUSHING;
    return current_ ? Next::FRAME : failed_ ? Next::FAILED : Next::END;
}

void Generator::wake() {
    std::lock_guard lock(mutex_);
    changed_.notify_all();
}

gint64 Generator::frame_index() const {
    return engine_->frames_first(current_) + position_;
}

gint64 Generator::chunk_first() const {
    return engine_->frames_first(current_);
}

Generator::Work Generator::work() const {
    Work work{};
    work.facts.struct_size = sizeof work.facts;
    engine_->frames_work(current_, &work.facts);
    work.computed.resize(size_t(work.facts.map_width) * size_t(work.facts.map_height));
    if (work.facts.has_motion) work.motion.resize(work.computed.size());
    engine_->frames_map(current_, position_, work.computed.data(), work.motion.data());
    return work;
}

std::optional<Fault> Generator::prepare(McPixelFormat format) const {
    McError error;
    if (engine_->frames_prepare(current_, format, &error)) return {};
    return fault_of(error.status, error.message, error.detail);
}

void Generator::write(McPixelFormat format, uint8_t* const planes[3], const int strides[3]) const {
    engine_->frames_write(current_, position_, format, planes, strides);
}

bool Generator::on_gpu(int device) const {
    return engine_->frames_device(current_) == device;
}

std::optional<Fault> Generator::write_there(McPixelFormat format, uint8_t* const planes[3],
                                            const int strides[3]) const {
    McError error;
    if (engine_->frames_write_device(current_, position_, format, planes, strides, &error)) return {};
    return fault_of(error.status, error.message, error.detail);
}

void Generator::advance() {
    {
        std::lock_guard lock(mutex_);
        remaining_--;
    }
    if (++position_ < engine_->frames_count(current_)) return;
    engine_->frames_free(current_);
    current_ = nullptr;
}

} // namespace mc::gst
