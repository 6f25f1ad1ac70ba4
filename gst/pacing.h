// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// A live stream's frames on the pipeline's clock: when the next one leaves, with which timestamps, and what is done
// when there is none in time. A frame leaves at its time, at the latest `latency` after it; sinks wait that long.
#include <gst/gst.h>

#include <functional>
#include <mutex>

#include "gst/generator.h"
#include "gst/live_clock.h"
#include "gst/stream_settings.h"
#include "gst/timeline.h"

namespace mc::gst {

class Pacing {
  public:
    // latency_changed: called from the streaming thread, to have the pipeline ask again.
    Pacing(LiveClock& clock, Generator& generator, std::function<void()> latency_changed);

    // ---- start and stop ----
    // chunk_frames: expected frames per chunk, until the first chunk tells.
    void begin(const StreamSettings& settings, int chunk_frames);

    // ---- streaming thread ----
    void set_rate(int frames, int seconds);
    // As Generator::wait; REPEAT: the last frame is due once more. Returns when it is time to push.
    enum class Next { FRAME, REPEAT, FLUSHING, END, FAILED };
    Next wait();
    Timeline::Stamp stamp() const { return timeline_.peek(); } // of the frame to push
    void taken();                                              // that frame was given out
    const StreamSettings& settings() const { return settings_; }

    // ---- any thread ----
    struct Latency {
        GstClockTime least, most;
    };
    Latency latency() const;
    void configured(GstClockTime latency); // of the whole pipeline
    struct Counts {
        gint64 underruns = 0, repeated = 0;
        gint64 queued = 0;
        double real_time_factor = 0; // seconds of video per second of generating, recently
    };
    Counts counts() const;

  private:
    void measure();
    GstClockTime tolerance() const;
    void stretch(GstClockTime now);
    void settle(GstClockTime now, bool waited);

    LiveClock& clock_;
    Generator& generator_;
    const std::function<void()> latency_changed_;
    StreamSettings settings_; // written under the mutex, before the streaming thread begins
    Timeline timeline_;    // streaming thread
    gint64 stretched_ = -1; // first frame of the chunk that the timeline was last stretched for
    bool repeating_ = false; // what was sent last is sent again

    mutable std::mutex mutex_; // guards what follows
    GstClockTime interval_ = GST_SECOND / 24, chunk_ = 0, latency_ = 0, configured_ = 0;
    int chunk_frames_ = 1;
    Counts counts_;
};

} // namespace mc::gst
