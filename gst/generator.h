#pragma once
// The worker thread: opens the engine and the model, runs one session, and keeps its chunks in a short queue
// for the streaming thread. Everything slow happens here, so no state change and no unlock ever waits for it,
// except stop(), which waits for at most one layer of a network or one tensor of a file.
//
//     start ──> load engine ──> wait for a picture ──> check, load model ──> session: next, next, ... ──> end
//                               (set_picture)                                    │ queue of 2 chunks
//                                                                             wait, write, advance   (streaming thread)
#include <gst/gst.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "gst/engine_library.h"
#include "gst/fault.h"
#include "gst/image_file.h"
#include "gst/outbox.h"
#include "gst/settings.h"
#include "gst/stats.h"

namespace mc::gst {

// What negotiation decides.
struct Picture {
    int width, height; // pixels
    int frame_rate_n, frame_rate_d;
    bool operator==(const Picture&) const = default;
};

// What is sampled in one run, from start to stop.
struct Job {
    Settings settings; // num_frames is set
    Engine engine;
};

class Generator {
  public:
    // Speaks as `element`, through `outbox`, which was opened before start() and is closed by stop(); calls seed_used
    // from the worker thread when a session has begun.
    Generator(GstElement* element, Outbox& outbox, std::function<void(gint64)> seed_used);
    ~Generator(); // stopped and without a model

    // ---- state changes ----
    void start(Job job);
    void stop();       // cancels and joins the worker; frames and messages not taken are gone, the model stays
    void drop_model(); // while stopped
    // The stream ends here: the worker gives up what it does, without being waited for.
    void end_early();
    // Before an error is posted: waits, woken by stop() and set_flushing(), until a moment after start().
    // gst-launch-1.0 (1.22) misses errors that come before its main loop runs, and then never ends.
    void await_application();

    // ---- streaming thread ----
    void set_picture(const Picture& picture); // the first one counts
    void set_flushing(bool flushing);         // from any thread: wait() returns FLUSHING while it is set
    enum class Next { FRAME, FLUSHING, END, FAILED };
    // FRAME until the frame is taken with advance(): a buffer that could not be sent is asked for again. What was said
    // before a chunk, or before the end, has been delivered (Outbox::await).
    Next wait();
    gint64 frame_index() const; // after FRAME
    void write(McPixelFormat format, uint8_t* const planes[3], const int strides[3]) const;
    void advance();

    struct Images {
        std::optional<ImageFile> first, last;
    };

    // ---- any thread ----
    Stats stats() const; // of the session that runs, or else of the last one

  private:
    struct ModelKey {
        Engine engine;
        std::string path, device;
        int precision, threads;
        bool operator==(const ModelKey&) const = default;
    };

    void run();
    void load(const Images& images);
    void sample(const Images& images);
    // PROGRESS messages of one load: START, CONTINUE..., and exactly one of COMPLETE, CANCELED, ERROR. Of several ends
    // the first one is told.
    void open_progress();
    void close_progress(GstProgressType type, const char* text);
    GstMessage* progress_message(GstProgressType type, const char* text) const;
    static void on_progress(void* user, double fraction, const char* part);
    bool put(McFrames* frames); // false: stopped
    void post_chunk(McSession* session, const McFrames* frames, int index);
    void forget_frames();
    static ModelKey key_of(const Job& job);
    static void on_log(void* user, int level, const char* text);
    void tell(const char* format, ...) G_GNUC_PRINTF(2, 3); // the log, INFO

    GstElement* const element_;
    Outbox& outbox_;
    const std::function<void(gint64)> seed_used_;
    std::thread thread_;

    // Worker while it runs, state changes otherwise.
    Job job_{};
    std::chrono::steady_clock::time_point started_;
    const EngineLibrary* engine_ = nullptr;
    McModel* model_ = nullptr;
    std::optional<ModelKey> model_key_;
    int percent_ = 0;
    // From the moment that the start of this run's progress is told until its end is.
    std::shared_ptr<std::atomic<bool>> progress_open_ = std::make_shared<std::atomic<bool>>(false);

    // Under the mutex.
    mutable std::mutex mutex_;
    std::condition_variable changed_;
    bool quit_ = false, flushing_ = false, ended_ = false, failed_ = false;
    McCancel* cancel_ = nullptr;
    std::optional<Picture> picture_;
    McSession* session_ = nullptr;
    Stats last_stats_; // when there is no session
    std::deque<McFrames*> queue_;

    // Streaming thread.
    McFrames* current_ = nullptr;
    int position_ = 0;
};

} // namespace mc::gst
