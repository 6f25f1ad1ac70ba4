// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// The timestamps of a live stream, in nanoseconds of running time: evenly spaced from where it began, without drift,
// and never going back. No GStreamer in it.
#include <algorithm>
#include <cstdint>

namespace mc::gst {

class Timeline {
  public:
    struct Stamp {
        uint64_t pts, duration;
        bool discont; // the first one, and the first after a gap
    };
    void set_rate(int frames, int seconds) { // frames in that many seconds; from the next stamp
        if (frames == n_ && seconds == d_) return;
        continue_from_here();
        n_ = frames, d_ = seconds;
    }
    bool running() const { return running_; }
    uint64_t next() const { return at(index_); }
    uint64_t interval() const { return at(1) - at(0); }
    // The next frame is due at `now`, but not before the end of the one before.
    void restart(uint64_t now) {
        origin_ = running_ ? std::max(now, next()) : now;
        index_ = 0;
        running_ = discont_ = true;
    }
    // From the next frame on each lasts at least that long; 0: what the rate says.
    void stretch(uint64_t interval) {
        if (interval == stretched_) return;
        continue_from_here();
        stretched_ = interval;
    }
    Stamp peek() const { return {next(), at(index_ + 1) - next(), discont_}; }
    Stamp take() {
        const Stamp stamp = peek();
        index_++;
        discont_ = false;
        return stamp;
    }
    void forget() { *this = Timeline(); }

  private:
    static constexpr uint64_t SECOND = 1000000000;
    void continue_from_here() {
        origin_ = next();
        index_ = 0;
    }
    uint64_t at(uint64_t index) const {
        const auto regular = uint64_t(static_cast<unsigned __int128>(index) * d_ * SECOND / n_);
        return origin_ + std::max(regular, index * stretched_);
    }
    uint64_t origin_ = 0, index_ = 0, stretched_ = 0;
    int n_ = 24, d_ = 1;
    bool running_ = false, discont_ = false;
};

} // namespace mc::gst
