// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// Waiting on the pipeline's clock. A wait ends early when the element pauses, flushes or gets another clock; its
// caller then asks again, since pausing moves the base time.
#include <gst/gst.h>

#include <atomic>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>

namespace mc::gst {

class LiveClock {
  public:
    explicit LiveClock(GstElement* element) : element_(element) {}

    // ---- any thread ----
    void set_playing(bool playing);
    void set_flushing(bool flushing);
    void clock_changed();
    bool playing() const;

    // ---- streaming thread ----
    bool await_playing();                    // false: flushing
    std::optional<GstClockTime> now() const; // running time; empty where the pipeline has no clock
    enum class Outcome { REACHED, FLUSHING, INTERRUPTED };
    Outcome wait_until(GstClockTime running_time);

    // Calls `ring` from the clock's thread at `running_time`, unless it is destroyed before.
    class Alarm {
      public:
        Alarm(const LiveClock& clock, GstClockTime running_time, std::function<void()> ring);
        ~Alarm();
        Alarm(const Alarm&) = delete;
        bool rang() const;

      private:
        struct Shared;
        std::shared_ptr<Shared> shared_;
        GstClockID id_ = nullptr;
    };

  private:
    void interrupt();
    GstClockID id_at(GstClockTime running_time) const; // null: no clock

    GstElement* const element_;
    mutable std::mutex mutex_;
    std::condition_variable changed_;
    bool playing_ = false, flushing_ = false;
    unsigned interruptions_ = 0;
    GstClockID waiting_ = nullptr;
};

} // namespace mc::gst
