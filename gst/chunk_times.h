// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// How long chunks take to generate: what a live stream reports as latency and what it plans with. Seconds on any clock
// that only goes forward; no GStreamer in it.
#include <algorithm>
#include <deque>

namespace mc::gst {

class ChunkTimes {
  public:
    void begin(double now) {
        began_ = now;
        at_work_ = true;
    }
    // The first chunk of a session is not counted: its time includes the text and, with some schedules, most steps of
    // the others. Returns how long the chunk took.
    double end(double now, int frames) {
        at_work_ = false;
        frames_ = std::max(frames_, frames);
        if (!first_seen_) {
            first_seen_ = true;
            return now - began_;
        }
        last_.push_back(now - began_);
        if (last_.size() > REMEMBERED) last_.pop_front();
        return now - began_;
    }
    bool measured() const { return !last_.empty(); }
    double worst() const { return measured() ? *std::max_element(last_.begin(), last_.end()) : 0; }
    // Recent ones count more, so that a new pace is known within a few chunks.
    double usual() const {
        double mean = 0, weight = 0, w = 1;
        for (auto it = last_.rbegin(); it != last_.rend(); ++it, w /= 2) mean += w * *it, weight += w;
        return weight > 0 ? mean / weight : 0;
    }
    // Of late. One chunk takes longer than another, but `together` of them in a row always about as long: whole groups.
    double mean(int together) const {
        const size_t group = size_t(std::max(together, 1)), wanted = (LOOKED_AT + group - 1) / group * group;
        const size_t n = std::min(wanted, last_.size());
        double sum = 0;
        for (size_t i = last_.size() - n; i < last_.size(); i++) sum += last_[i];
        return n ? sum / double(n) : 0;
    }
    // Until the chunk that is being made is done, as far as can be told; 0 once it takes longer than usual.
    double left(double now) const {
        return at_work_ ? std::max(0., usual() - (now - began_)) : usual();
    }
    int frames() const { return frames_; } // of a chunk, the longest so far

  private:
    static constexpr size_t REMEMBERED = 16, LOOKED_AT = 4;
    std::deque<double> last_;
    double began_ = 0;
    bool at_work_ = false, first_seen_ = false;
    int frames_ = 0;
};

} // namespace mc::gst
