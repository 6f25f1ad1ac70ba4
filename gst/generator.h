// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// The worker thread: opens the engine and the model, runs one session, and queues its chunks for the streaming thread.
// Everything slow happens here, so no state change and no unlock ever waits for it, except stop(), which waits for at
// most one layer of a network or one tensor of a file.
//
//     start ──> load engine ──> wait for a picture ──> check, load model ──> session: next, next, ... ──> end
//                               (set_picture)                                    │ queue of chunks
//                                                                             wait, write, advance   (streaming thread)
#include <gst/gst.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "engine/request/changes.h"
#include "gst/cache_pace.h"
#include "gst/chunk_times.h"
#include "gst/engine_library.h"
#include "gst/fault.h"
#include "gst/image_file.h"
#include "gst/model_store.h"
#include "gst/outbox.h"
#include "gst/progress.h"
#include "gst/prompts_file.h"
#include "gst/settings.h"
#include "gst/stats.h"
#include "gst/video_file.h"

namespace mc::gst {

// What negotiation decides.
struct PictureFormat {
    int width, height; // pixels
    int frame_rate_n, frame_rate_d;
    bool operator==(const PictureFormat&) const = default;
};

// What one run, from start to stop, generates.
struct Job {
    Fields settings; // model.path and num_frames are set
    Engine engine;
    int queue_chunks = 2;
    bool qos_cache = false;   // the cache's threshold moves so that chunks come in time
    double qos_cache_max = 0; // highest threshold; 0: a multiple of the request's own
    KeepModel keep_model = KeepModel::READY;
    int model_rate_n = 24, model_rate_d = 1; // frames per second that the model makes, whatever the caps say
    std::vector<TimedPrompt> timed_prompts; // of prompts-file; the first one is settings.prompt
};

class Generator {
  public:
    // Posts as `element`, through `outbox`, which was opened before start() and is closed by stop(); calls seed_used
    // from the worker thread when a session has begun.
    Generator(GstElement* element, Outbox& outbox, std::function<void(gint64)> seed_used);
    ~Generator(); // stopped and without a model

    // ---- state changes ----
    void start(Job job);
    // Cancels and joins the worker; discards pending frames and messages. Keeps the model, unless the job says never.
    void stop();
    void drop_model(); // while stopped
    // Ends the stream after the chunks that are finished: the worker abandons its work; does not wait for it.
    void end_early();
    // Before an error is posted: waits, woken by stop() and set_flushing(), until a moment after start().
    // gst-launch-1.0 (1.22) misses errors that come before its main loop runs, and then never ends.
    void await_application();

    // ---- streaming thread ----
    void set_picture(const PictureFormat& picture); // only the first call has an effect
    void set_flushing(bool flushing);         // from any thread: wait() returns FLUSHING while it is set
    enum class Next { FRAME, FLUSHING, END, FAILED, NOT_YET };
    // Returns the same FRAME until advance(): a buffer that could not be pushed is requested again. Messages posted
    // before a chunk, or before the end, have been delivered by then (Outbox::await).
    // give_up: NOT_YET when it says so before there is a frame; asked again after wake().
    Next wait(const std::function<bool()>& give_up = {});
    void wake();                // from any thread
    gint64 frame_index() const; // after FRAME
    gint64 chunk_first() const; // likewise: the first frame of its chunk
    gint64 update() const;      // likewise: MadeWith::update
    MadeWith made_with() const; // likewise
    CacheFields cache_asked();  // likewise: what was set of the cache; to be called for frames in their order
    // Likewise: what its chunk has cost, and where.
    struct Work {
        McFramesWork facts;
        std::vector<uint8_t> computed; // [map_height, map_width]
        std::vector<float> motion;     // [map_height, map_width]; empty: not measured
    };
    Work work() const;
    const Job& job() const { return job_; }
    std::optional<Fault> prepare(McPixelFormat format) const; // to write frames of its chunk: what a device fails at
    void write(McPixelFormat format, uint8_t* const planes[3], const int strides[3]) const;
    // As prepare and write for a frame that lies on that GPU (on_gpu): `planes` are addresses there.
    bool on_gpu(int device) const;
    std::optional<Fault> write_there(McPixelFormat format, uint8_t* const planes[3], const int strides[3]) const;
    void advance();

    struct Images {
        std::optional<ImageFile> first, last;
        std::optional<VideoFile> prefix;
    };

    // ---- any thread ----
    Stats stats() const; // of the running session, or else of the last one
    // Waits for a session where there is none yet. Throws mc::Error for a change that is refused.
    void update(const Update& update);
    void clear_queued(); // those that have not begun
    void limit_threshold(double most); // another qos-cache-max, at once
    struct Pace {
        int queued;                // chunks, beside the one that is being sent
        int frames, remaining;     // in a chunk; still to send of the one that is being sent
        double worst, usual, left; // seconds that a chunk takes, and until the next one is ready; 0: not known
        double mean;               // seconds per chunk of late, over whole windows; 0: not known
        bool ended;                // nothing more comes
    };
    Pace pace() const;
    struct Threshold {
        double now = 0;  // of the cache, in the chunk that was made last; 0: nothing is cached, or not known yet
        double load = 0; // with qos-cache: seconds of generating per second of video, as judged last; 0: not known
    };
    Threshold threshold() const;

  private:
    void run();
    void load(const Images& images);
    void sample(const Images& images);
    // PROGRESS messages of one load: START, CONTINUE..., and exactly one of COMPLETE, CANCELED, ERROR: only the first
    // of these is posted.
    void open_progress(const char* text = "Loading the model");
    void close_progress(GstProgressType type, const char* text);
    GstMessage* progress_message(GstProgressType type, const char* text) const;
    static void on_progress(void* user, double fraction, const char* part);
    static void on_reading(void* user, double fraction, const char* part);
    // With the lock:
    void change(McSession* session, const Update& update);
    void change_threshold(McSession* session, double threshold);
    void ask_threshold(double own);
    void limit_pace(const MadeWith& with);
    double most_threshold(double own) const;
    void tell_spent();
    void post_threshold(double before, double now, gint64 frame);
    void queue_waiting(McSession* session); // timed prompts, and changes that waited for a session
    // Without it:
    void keep_pace(McSession* session, const McFrames* frames, double seconds);
    MadeWith made_with(const McFrames* frames) const;
    bool put(McFrames* frames); // false: that was the last one
    void post_plan(const McModelOptions& options, const McRequest& request);
    static void on_step(void* user);
    void post_progress(McSession* session);
    void post_chunk(McSession* session, const McFrames* frames, int index);
    void forget_frames();
    bool holds_model() const; // of this job, unless its files have changed
    McModel* open_model(const Images& images);
    static void on_log(void* user, int level, const char* text);
    void tell(const char* format, ...) G_GNUC_PRINTF(2, 3); // the log, INFO

    GstElement* const element_;
    Outbox& outbox_;
    const std::function<void(gint64)> seed_used_;
    std::thread thread_;

    // Owned by the worker while it runs, by state changes otherwise.
    Job job_{};
    std::chrono::steady_clock::time_point started_;
    const EngineLibrary* engine_ = nullptr;
    std::shared_ptr<McModel> model_;
    ModelKey model_key_; // of it
    Engine model_engine_{};
    int percent_ = 0;
    Pulse pulse_; // of progress messages
    // True from the posting of this run's START until that of its end.
    std::shared_ptr<std::atomic<bool>> progress_open_ = std::make_shared<std::atomic<bool>>(false);

    // Guarded by the mutex.
    mutable std::mutex mutex_;
    std::condition_variable changed_;
    bool quit_ = false, flushing_ = false, ended_ = false, failed_ = false;
    McCancel* cancel_ = nullptr;
    std::optional<PictureFormat> picture_;
    McSession* session_ = nullptr;
    Stats last_stats_; // when there is no session
    std::deque<McFrames*> queue_;
    std::deque<Update> waiting_; // for a session
    // What was asked of the cache, by the number of the change: those whose frames have not all been sent.
    std::map<gint64, CacheFields> caches_;
    ChunkTimes times_;
    int window_chunks_ = 0; // of a window, some of which take longer than others; 0: not known
    std::optional<CachePace> pace_;         // from the first chunk on, with qos-cache
    std::optional<double> asked_threshold_; // set while the video is made
    double most_threshold_ = 0;             // qos-cache-max
    bool told_spent_ = false;               // that not even this is enough
    gint64 pace_from_ = 0; // change of the cache that has to have begun before chunks are judged
    Threshold threshold_;
    int remaining_ = 0; // frames of the current chunk

    // Owned by the streaming thread.
    McFrames* current_ = nullptr;
    int position_ = 0;
};

} // namespace mc::gst
