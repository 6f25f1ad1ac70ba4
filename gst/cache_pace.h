// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// Keeps a stream in real time by the threshold of its cache: a higher one computes less. The load is the time that
// chunks took over the time that they last; above BUSY the threshold rises, below IDLE it comes down, between them it
// rests. No GStreamer in it.
#include <algorithm>
#include <cmath>

namespace mc::gst {

class CachePace {
  public:
    CachePace(double least, double most) { limit(least, most); }
    // Holds from now on; how far the threshold has gone from one to the other stays.
    void limit(double least, double most) { least_ = least, most_ = std::max(least, most), spent_ = 0; }
    double least() const { return least_; }
    double threshold() const { return least_ > 0 ? least_ * std::pow(most_ / least_, place_) : 0; }
    double load() const { return load_; } // seconds of generating per second of video, as judged last; 0: not yet

    // Whether chunks take longer than they last although the threshold is at its limit, seen more than once.
    bool spent() const { return spent_ > 1; }

    // A chunk of `video` seconds, made with the threshold `made_with`, took `seconds`. Chunks take different times, but
    // `together` of them in a row always about as long. True: threshold() has changed.
    bool chunk(double seconds, double video, double made_with, int together = 1) {
        if (!(least_ > 0)) return false;
        if (made_with != threshold()) { // begun before it changed
            skipped_ = seen_ = 0, seconds_ = video_ = 0;
            return false;
        }
        if (skipped_ < SKIPPED) { // was partly made beside chunks with the old one
            skipped_++;
            return false;
        }
        seconds_ += seconds;
        video_ += video;
        together = std::max(together, 1);
        if (++seen_ < (SEEN + together - 1) / together * together || !(video_ > 0)) return false;
        load_ = std::max(seconds_ / video_, 1e-3);
        spent_ = place_ >= 1 && load_ > 1 ? spent_ + 1 : 0;
        seen_ = 0, seconds_ = video_ = 0;
        const double before = threshold();
        return judge(load_) && threshold() != before;
    }

  private:
    // Loads. BUSY and IDLE are as far apart as the load may jump when the cache computes a step more or less, or the
    // threshold would never rest.
    static constexpr double BUSY = 0.95, IDLE = 0.72, AIM = 0.84;
    static constexpr int SKIPPED = 1, SEEN = 3; // chunks after a change, and those judged together at least
    static constexpr double DAMPING = 0.8, STEEPEST = -6, FLATTEST = -0.7;
    static constexpr int PATIENCE = 4, MOST_PATIENCE = 64; // judgements
    static constexpr double LESS = 0.8; // of the load when waiting began: below it, another program must have ended

    bool judge(double load) {
        learn(load);
        const bool fell = last_step_ < 0;
        const bool busy = load > BUSY, idle = load < IDLE;
        if (!busy && !idle) patience_ = PATIENCE; // there is a threshold to rest at
        if (busy && fell) {                       // the last step down did not hold: the next one waits, longer each time
            hold_ = patience_;
            patience_ = std::min(2 * patience_, MOST_PATIENCE);
            held_load_ = 0;
        }
        last_step_ = 0;
        if (idle && hold_ > 0) {
            if (held_load_ == 0) held_load_ = load;
            hold_ = load < LESS * held_load_ ? 0 : hold_ - 1;
            if (hold_ > 0) return false;
        }
        if (!busy && !idle) return false;
        const double to = std::clamp(place_ + DAMPING * std::log(AIM / load) / slope_, 0., 1.);
        if (std::abs(to - place_) < 1e-3) return false;
        last_step_ = to - place_;
        last_load_ = load;
        place_ = to;
        skipped_ = 0;
        return true;
    }
    // What the last step did to the load, as a slope of its logarithm. Another program's load comes and goes meanwhile,
    // so it is believed in part and within limits.
    void learn(double load) {
        if (std::abs(last_step_) < 0.03) return;
        const double slope = std::clamp(std::log(load / last_load_) / last_step_, STEEPEST, FLATTEST);
        slope_ += (slope - slope_) / 2;
    }

    double least_ = 1, most_ = 1, load_ = 0;
    double place_ = 0; // 0: least, 1: most, on a logarithmic scale
    double slope_ = -2, last_step_ = 0, last_load_ = 1;
    double seconds_ = 0, video_ = 0;
    int skipped_ = SKIPPED, seen_ = 0;
    int spent_ = 0; // judgements
    int hold_ = 0, patience_ = PATIENCE;
    double held_load_ = 0;
};

} // namespace mc::gst
