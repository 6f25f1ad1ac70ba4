// SPDX-License-Identifier: LGPL-2.1-or-later
#include "gst/pacing.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace mc::gst {
namespace {

// The latency is kept while the measured need is below it but above this share of it: the pipeline stutters a little
// whenever it changes.
constexpr double KEPT = 0.5;
constexpr double MARGIN = 1.1; // chunks differ
// Where downstream takes nothing for this long beyond the latency, the stream goes on at the current running time
// instead of being late for ever.
constexpr GstClockTime STUCK = GST_SECOND;

} // namespace

Pacing::Pacing(LiveClock& clock, Generator& generator, std::function<void()> latency_changed)
    : clock_(clock), generator_(generator), latency_changed_(std::move(latency_changed)) {}

void Pacing::begin(const StreamSettings& settings, int chunk_frames) {
    timeline_.forget();
    stretched_ = -1;
    repeating_ = false;
    std::lock_guard lock(mutex_);
    settings_ = settings;
    chunk_frames_ = chunk_frames;
    chunk_ = chunk_frames * interval_;
    latency_ = settings.latency < 0 ? chunk_ : settings.latency * GST_MSECOND;
    configured_ = 0;
    counts_ = {};
}

void Pacing::set_rate(int frames, int seconds) {
    timeline_.set_rate(frames, seconds);
    bool changed;
    {
        std::lock_guard lock(mutex_);
        interval_ = gst_util_uint64_scale(GST_SECOND, seconds, frames);
        const GstClockTime chunk = chunk_frames_ * interval_;
        changed = chunk != std::exchange(chunk_, chunk);
        if (settings_.latency < 0 && changed) latency_ = chunk;
    }
    if (changed) latency_changed_();
}

Pacing::Latency Pacing::latency() const {
    std::lock_guard lock(mutex_);
    return {latency_, std::max(latency_, settings_.queue_chunks * chunk_)};
}

void Pacing::configured(GstClockTime latency) {
    std::lock_guard lock(mutex_);
    configured_ = latency;
}

Pacing::Counts Pacing::counts() const {
    const auto pace = generator_.pace();
    std::lock_guard lock(mutex_);
    Counts counts = counts_;
    counts.queued = pace.queued;
    if (pace.mean > 0) counts.real_time_factor = double(chunk_) / GST_SECOND / pace.mean;
    return counts;
}

// After each chunk: the latency that it needs.
void Pacing::measure() {
    const auto pace = generator_.pace();
    bool changed = false;
    {
        std::lock_guard lock(mutex_);
        if (pace.frames > 0) chunk_frames_ = pace.frames;
        chunk_ = chunk_frames_ * interval_;
        if (settings_.latency >= 0 || pace.worst <= 0) return;
        const auto frames = GstClockTime(std::ceil(pace.worst * MARGIN * GST_SECOND / double(interval_)));
        const GstClockTime needed = frames * interval_;
        changed = needed > latency_ || double(needed) < KEPT * double(latency_);
        if (changed) latency_ = needed;
    }
    if (changed) latency_changed_();
}

// How late a frame may leave. One frame less than the latency that is reported: elements behind take time too.
GstClockTime Pacing::tolerance() const {
    std::lock_guard lock(mutex_);
    return latency_ > interval_ ? latency_ - interval_ : 0;
}

// With nothing in the queue the frames of this chunk have to last until the next one comes.
void Pacing::stretch(GstClockTime now) {
    const auto pace = generator_.pace();
    GstClockTime interval = 0;
    if (pace.queued == 0 && !pace.ended && pace.usual > 0 && pace.remaining > 0) {
        const double until = double(now) + MARGIN * pace.left * GST_SECOND - double(timeline_.next());
        interval = GstClockTime(std::max(0., until / pace.remaining));
    }
    timeline_.stretch(interval);
}

void Pacing::settle(GstClockTime now, bool waited) {
    GstClockTime allowed = tolerance();
    if (timeline_.running() && !waited) {
        std::lock_guard lock(mutex_);
        allowed = std::max(allowed, configured_) + STUCK;
    }
    const bool late = timeline_.running() && now > timeline_.next() + allowed;
    if (late && waited && !repeating_) {
        std::lock_guard lock(mutex_);
        counts_.underruns++;
    }
    repeating_ = false;
    if (late || !timeline_.running()) timeline_.restart(now);
    const gint64 chunk = generator_.chunk_first();
    if (chunk == stretched_) return;
    stretched_ = chunk;
    measure();
    if (Underrun(settings_.underrun) == Underrun::SLOW) stretch(now);
}

Pacing::Next Pacing::wait() {
    const bool repeats = Underrun(settings_.underrun) == Underrun::REPEAT;
    const auto paused = [this] { return !clock_.playing(); };
    for (;;) {
        if (!clock_.await_playing()) return Next::FLUSHING;
        bool repeat = false, waited = false;
        auto next = generator_.wait([] { return true; });
        if (next == Generator::Next::NOT_YET) {
            waited = true;
            if (repeats && timeline_.running()) {
                const LiveClock::Alarm due(clock_, timeline_.next() + tolerance(), [this] { generator_.wake(); });
                next = generator_.wait([&] { return due.rang() || paused(); });
                repeat = due.rang();
            } else {
                next = generator_.wait(paused);
            }
        }
        switch (next) {
        case Generator::Next::FLUSHING:
            return Next::FLUSHING;
        case Generator::Next::END:
            return Next::END;
        case Generator::Next::FAILED:
            return Next::FAILED;
        case Generator::Next::NOT_YET:
            if (!repeat || paused()) continue;
            {
                std::lock_guard lock(mutex_);
                counts_.repeated++;
                if (!repeating_) counts_.underruns++; // one, however long it lasts
            }
            repeating_ = true;
            return Next::REPEAT;
        case Generator::Next::FRAME:
            break;
        }
        if (const auto now = clock_.now())
            settle(*now, waited);
        else if (!timeline_.running())
            timeline_.restart(0); // without a clock frames follow each other as in a file
        switch (clock_.wait_until(timeline_.next())) {
        case LiveClock::Outcome::FLUSHING:
            return Next::FLUSHING;
        case LiveClock::Outcome::INTERRUPTED:
            continue;
        case LiveClock::Outcome::REACHED:
            return Next::FRAME;
        }
    }
}

void Pacing::taken() {
    timeline_.take();
}

} // namespace mc::gst
