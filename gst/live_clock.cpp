// SPDX-License-Identifier: LGPL-2.1-or-later
#include "gst/live_clock.h"

#include <utility>

namespace mc::gst {

void LiveClock::interrupt() {
    interruptions_++;
    if (waiting_) gst_clock_id_unschedule(waiting_);
    changed_.notify_all();
}

void LiveClock::set_playing(bool playing) {
    std::lock_guard lock(mutex_);
    playing_ = playing;
    interrupt();
}

void LiveClock::set_flushing(bool flushing) {
    std::lock_guard lock(mutex_);
    flushing_ = flushing;
    interrupt();
}

void LiveClock::clock_changed() {
    std::lock_guard lock(mutex_);
    interrupt();
}

bool LiveClock::playing() const {
    std::lock_guard lock(mutex_);
    return playing_;
}

bool LiveClock::await_playing() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return playing_ || flushing_; });
    return !flushing_;
}

std::optional<GstClockTime> LiveClock::now() const {
    GstClock* clock = gst_element_get_clock(element_);
    if (!clock) return {};
    const GstClockTime time = gst_clock_get_time(clock), base = gst_element_get_base_time(element_);
    gst_object_unref(clock);
    return time > base ? time - base : 0;
}

GstClockID LiveClock::id_at(GstClockTime running_time) const {
    GstClock* clock = gst_element_get_clock(element_);
    if (!clock) return nullptr;
    GstClockID id = gst_clock_new_single_shot_id(clock, gst_element_get_base_time(element_) + running_time);
    gst_object_unref(clock);
    return id;
}

LiveClock::Outcome LiveClock::wait_until(GstClockTime running_time) {
    std::unique_lock lock(mutex_);
    if (flushing_) return Outcome::FLUSHING;
    if (!playing_) return Outcome::INTERRUPTED;
    const unsigned before = interruptions_;
    GstClockID id = id_at(running_time);
    if (!id) return Outcome::REACHED; // nothing to wait for
    waiting_ = id;
    lock.unlock();
    gst_clock_id_wait(id, nullptr);
    lock.lock();
    waiting_ = nullptr;
    gst_clock_id_unref(id);
    return flushing_ ? Outcome::FLUSHING : interruptions_ != before ? Outcome::INTERRUPTED : Outcome::REACHED;
}

// Belongs to the alarm and to the clock's callback, which may be running while the alarm is destroyed: it keeps the
// element alive, of which `ring` is a part.
struct LiveClock::Alarm::Shared {
    Shared(GstElement* element, std::function<void()> ring)
        : element(GST_ELEMENT(gst_object_ref(element))), ring(std::move(ring)) {}
    ~Shared() { gst_object_unref(element); }
    Shared(const Shared&) = delete;
    GstElement* element;
    std::function<void()> ring;
    std::atomic<bool> rang{false};
};

LiveClock::Alarm::Alarm(const LiveClock& clock, GstClockTime running_time, std::function<void()> ring)
    : shared_(std::make_shared<Shared>(clock.element_, std::move(ring))), id_(clock.id_at(running_time)) {
    if (!id_) return;
    gst_clock_id_wait_async(
        id_,
        [](GstClock*, GstClockTime, GstClockID, gpointer user) -> gboolean {
            const auto& shared = *static_cast<std::shared_ptr<Shared>*>(user);
            shared->rang = true;
            shared->ring();
            return TRUE;
        },
        new std::shared_ptr<Shared>(shared_),
        [](gpointer user) { delete static_cast<std::shared_ptr<Shared>*>(user); });
}

LiveClock::Alarm::~Alarm() {
    if (!id_) return;
    gst_clock_id_unschedule(id_);
    gst_clock_id_unref(id_);
}

bool LiveClock::Alarm::rang() const {
    return shared_->rang;
}

} // namespace mc::gst
