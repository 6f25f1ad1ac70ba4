// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// A pipeline motioncachegen ! fakesink that writes down what happens, in order. The test pattern's settings
// go into the environment before the first state change.
#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

// After the standard library: gstcheck.h has a macro "fail".
#include <gst/check/gstcheck.h>
#include <gst/video/video.h>

namespace mc::test {

using Clock = std::chrono::steady_clock;
inline double seconds_since(Clock::time_point begin) {
    return std::chrono::duration<double>(Clock::now() - begin).count();
}
inline void sleep_ms(int ms) {
    std::this_thread::sleep_for(std::chrono::milliseconds(ms));
}

struct Frame {
    GstClockTime pts, duration;
    guint64 offset, offset_end;
    std::string bytes;
    bool discont;
    GstClockTime arrival; // running time; none without a clock
};

struct Failure {
    GQuark domain;
    int code;
    std::string message, debug;
};

struct Chunk {
    int index, frames;
    gint64 first_frame, forwards, forwards_total;
};

struct Prompt {
    std::string prompt;
    double guidance_scale, cache_threshold;
    guint64 pts;
    gint64 frame, id;
    std::string cache = {};
};

struct Progress {
    gint64 chunk, chunks;
    int step, steps;
    double fraction, seconds_left;
};

struct Threshold {
    double now, before, load;
    gint64 frame;
};

class Player {
  public:
    GstElement *pipeline, *gen;

    // `settings` as on the command line; `caps`: of a filter behind the element.
    explicit Player(const std::string& settings = "prompt=ball", const std::string& caps = "") {
        GError* error = nullptr;
        const std::string line = "motioncachegen name=gen " + settings + " ! " +
                                 (caps.empty() ? "" : caps + " ! ") +
                                 "fakesink name=sink signal-handoffs=true sync=false";
        pipeline = gst_parse_launch(line.c_str(), &error);
        fail_unless(pipeline && !error, "%s: %s", line.c_str(), error ? error->message : "");
        gen = gst_bin_get_by_name(GST_BIN(pipeline), "gen");
        GstElement* sink = gst_bin_get_by_name(GST_BIN(pipeline), "sink");
        g_signal_connect(sink, "handoff", G_CALLBACK(on_handoff), this);
        gst_object_unref(sink);
        GstBus* bus = gst_element_get_bus(pipeline);
        gst_bus_set_sync_handler(bus, on_message, this, nullptr);
        gst_object_unref(bus);
    }
    ~Player() {
        set_state(GST_STATE_NULL);
        gst_object_unref(gen);
        gst_object_unref(pipeline);
    }
    Player(const Player&) = delete;

    GstStateChangeReturn set_state(GstState state) { return gst_element_set_state(pipeline, state); }
    void play() { set_state(GST_STATE_PLAYING); }

    bool wait(const std::function<bool()>& what, double seconds = 20) {
        std::unique_lock lock(mutex_);
        return changed_.wait_for(lock, std::chrono::duration<double>(seconds), what);
    }
    bool wait_end(double seconds = 20) {
        return wait([this] { return eos || !errors.empty(); }, seconds);
    }
    // It ends by an error. GStreamer's base class ends the stream behind one, and that may have come as well.
    bool wait_error(double seconds = 20) {
        if (!wait_end(seconds)) return false;
        const int error = place("error"), end = place("eos");
        return error >= 0 && (end < 0 || error < end);
    }
    bool wait_frames(size_t count, double seconds = 20) {
        return wait([&] { return frames.size() >= count; }, seconds);
    }
    bool wait_log(const std::string& entry, double seconds = 20) {
        return wait([&] { return place(entry) >= 0; }, seconds);
    }
    void play_to_end() {
        play();
        fail_unless(wait_end(), "neither EOS nor an error");
    }
    // Index in the log, -1 where there is none.
    int place(const std::string& entry) const {
        for (size_t i = 0; i < log.size(); i++)
            if (log[i] == entry) return int(i);
        return -1;
    }
    // Of frame number `index` since the log began; -1 where there is none.
    int place_of_frame(size_t index) const {
        for (size_t i = 0; i < log.size(); i++)
            if (log[i] == "frame" && index-- == 0) return int(i);
        return -1;
    }
    int count(const std::string& entry) const {
        int n = 0;
        for (const auto& e : log) n += e == entry;
        return n;
    }
    // Between runs.
    void forget() {
        std::lock_guard lock(mutex_);
        frames.clear(), errors.clear(), warnings.clear(), chunks.clear(), log.clear();
        prompts.clear(), thresholds.clear(), progress.clear(), titles.clear(), comments.clear();
        eos = false;
    }

    // Read them when nothing runs, or in the condition of wait().
    std::vector<Frame> frames;
    std::vector<Failure> errors, warnings;
    std::vector<Chunk> chunks;
    std::vector<Prompt> prompts;
    std::vector<Threshold> thresholds;
    std::vector<std::string> titles, comments; // of tags
    std::vector<int> percents;
    std::vector<Progress> progress;
    std::vector<std::string> log; // "frame", "error", "progress start", "chunk 0", ...
    bool eos = false;

  private:
    GstClockTime running_time() const {
        GstClock* clock = gst_element_get_clock(gen);
        if (!clock) return GST_CLOCK_TIME_NONE;
        const GstClockTime now = gst_clock_get_time(clock) - gst_element_get_base_time(gen);
        gst_object_unref(clock);
        return now;
    }

    static void on_handoff(GstElement*, GstBuffer* buffer, GstPad*, gpointer user) {
        auto* self = static_cast<Player*>(user);
        GstMapInfo map;
        fail_unless(gst_buffer_map(buffer, &map, GST_MAP_READ));
        Frame frame{GST_BUFFER_PTS(buffer), GST_BUFFER_DURATION(buffer), GST_BUFFER_OFFSET(buffer),
                    GST_BUFFER_OFFSET_END(buffer), std::string(reinterpret_cast<char*>(map.data), map.size),
                    GST_BUFFER_FLAG_IS_SET(buffer, GST_BUFFER_FLAG_DISCONT), self->running_time()};
        gst_buffer_unmap(buffer, &map);
        std::lock_guard lock(self->mutex_);
        self->frames.push_back(std::move(frame));
        self->log.push_back("frame");
        self->changed_.notify_all();
    }

    static Failure failure_of(GstMessage* message, void (*parse)(GstMessage*, GError**, gchar**)) {
        GError* error = nullptr;
        gchar* debug = nullptr;
        parse(message, &error, &debug);
        Failure failure{error->domain, error->code, error->message, debug ? debug : ""};
        g_error_free(error);
        g_free(debug);
        return failure;
    }

    static GstBusSyncReply on_message(GstBus*, GstMessage* message, gpointer user) {
        auto* self = static_cast<Player*>(user);
        std::lock_guard lock(self->mutex_);
        switch (GST_MESSAGE_TYPE(message)) {
        case GST_MESSAGE_ERROR:
            self->errors.push_back(failure_of(message, gst_message_parse_error));
            self->log.push_back("error");
            break;
        case GST_MESSAGE_WARNING:
            self->warnings.push_back(failure_of(message, gst_message_parse_warning));
            self->log.push_back("warning");
            break;
        case GST_MESSAGE_EOS:
            self->eos = true;
            self->log.push_back("eos");
            break;
        case GST_MESSAGE_LATENCY:
            self->log.push_back("latency");
            break;
        case GST_MESSAGE_PROGRESS: {
            GstProgressType type;
            gst_message_parse_progress(message, &type, nullptr, nullptr);
            static const char* const names[] = {"start", "continue", "complete", "canceled", "error"};
            self->log.push_back(std::string("progress ") + names[type]);
            int percent = -1;
            gst_structure_get_int(gst_message_get_structure(message), "percent", &percent);
            self->percents.push_back(percent);
            break;
        }
        case GST_MESSAGE_ELEMENT: {
            const GstStructure* s = gst_message_get_structure(message);
            if (gst_structure_has_name(s, "motioncache-prompt")) {
                Prompt p{gst_structure_get_string(s, "prompt"), 0, 0, 0, 0, 0};
                fail_unless(gst_structure_get(s, "guidance-scale", G_TYPE_DOUBLE, &p.guidance_scale, "cache-threshold",
                                              G_TYPE_DOUBLE, &p.cache_threshold, "pts", G_TYPE_UINT64, &p.pts, "frame",
                                              G_TYPE_INT64, &p.frame, "id", G_TYPE_INT64, &p.id, nullptr));
                p.cache = gst_structure_get_string(s, "cache");
                self->prompts.push_back(p);
                self->log.push_back("prompt " + p.prompt);
            }
            if (gst_structure_has_name(s, "motioncache-progress")) {
                Progress p{};
                fail_unless(gst_structure_get(s, "chunk", G_TYPE_INT64, &p.chunk, "chunks", G_TYPE_INT64,
                                              &p.chunks, "step", G_TYPE_INT, &p.step, "steps", G_TYPE_INT,
                                              &p.steps, "fraction", G_TYPE_DOUBLE, &p.fraction,
                                              "seconds-left", G_TYPE_DOUBLE, &p.seconds_left, nullptr));
                self->progress.push_back(p);
            }
            if (gst_structure_has_name(s, "motioncache-qos")) {
                Threshold t{};
                fail_unless(gst_structure_get(s, "cache-threshold", G_TYPE_DOUBLE, &t.now, "before",
                                              G_TYPE_DOUBLE, &t.before, "load", G_TYPE_DOUBLE, &t.load,
                                              "frame", G_TYPE_INT64, &t.frame, nullptr));
                self->thresholds.push_back(t);
                self->log.push_back("threshold");
            }
            if (!gst_structure_has_name(s, "motioncache-chunk")) break;
            Chunk c{};
            fail_unless(gst_structure_get(s, "index", G_TYPE_INT, &c.index, "first-frame", G_TYPE_INT64,
                                          &c.first_frame, "frames", G_TYPE_INT, &c.frames, "forwards",
                                          G_TYPE_INT64, &c.forwards, "forwards-total", G_TYPE_INT64,
                                          &c.forwards_total, nullptr));
            self->chunks.push_back(c);
            self->log.push_back("chunk " + std::to_string(c.index));
            break;
        }
        case GST_MESSAGE_TAG: {
            GstTagList* tags = nullptr;
            gst_message_parse_tag(message, &tags);
            gchar *title = nullptr, *comment = nullptr;
            if (gst_tag_list_get_string(tags, GST_TAG_TITLE, &title)) self->titles.push_back(title);
            if (title) self->log.push_back("title " + self->titles.back());
            if (gst_tag_list_get_string(tags, GST_TAG_COMMENT, &comment)) self->comments.push_back(comment);
            g_free(title);
            g_free(comment);
            gst_tag_list_unref(tags);
            break;
        }
        default:
            break;
        }
        self->changed_.notify_all();
        gst_message_unref(message);
        return GST_BUS_DROP;
    }

    std::mutex mutex_;
    std::condition_variable changed_;
};

// The statistics of each delivered chunk.
inline std::vector<const GstStructure*> chunks_of(const GstStructure* stats) {
    const auto* chunks = static_cast<const GValueArray*>(g_value_get_boxed(gst_structure_get_value(stats, "chunks")));
    std::vector<const GstStructure*> list;
    for (guint i = 0; i < chunks->n_values; i++) list.push_back(gst_value_get_structure(chunks->values + i));
    return list;
}

inline void use_testpattern(const char* knobs = "") {
    g_setenv("MOTIONCACHE_ENGINE", "testpattern", TRUE);
    g_setenv("MOTIONCACHE_TESTPATTERN", knobs, TRUE);
}

inline bool same_bytes(const std::vector<Frame>& a, const std::vector<Frame>& b) {
    if (a.size() != b.size()) return false;
    for (size_t i = 0; i < a.size(); i++)
        if (a[i].bytes != b[i].bytes) return false;
    return true;
}

} // namespace mc::test

using namespace mc::test;
