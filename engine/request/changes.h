// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// Changes of a request while its video is made: added from any thread, fetched by the thread that makes the video
// whenever a chunk starts. No Torch.
#include <cstdint>
#include <deque>
#include <mutex>
#include <optional>
#include <string>

#include "engine/request/fields.h"

namespace mc {

// What is not set stays as it is.
struct Change {
    std::optional<std::string> prompt, negative_prompt;
    std::optional<double> guidance_scale;
    std::optional<int> prompt_transition;
    std::optional<CacheFields> cache; // all that is asked of the cache: what is not set in it has its default
    bool has_words() const { return prompt || negative_prompt; }
    // Where both are set, `later` counts.
    void merge(const Change& later) {
        const auto take = [](auto& mine, const auto& theirs) {
            if (theirs) mine = theirs;
        };
        take(prompt, later.prompt), take(negative_prompt, later.negative_prompt);
        take(guidance_scale, later.guidance_scale), take(prompt_transition, later.prompt_transition);
        take(cache, later.cache);
    }
};

// What the frames of a chunk were made with.
struct MadeWith {
    int64_t update = 0; // number of the last change; 0: the request
    std::string prompt, negative_prompt;
    double guidance_scale = 1, cache_threshold = 0; // 0: nothing is cached
    CacheKind cache = CacheKind::NONE;              // in use
    CacheFields cache_asked = {};                   // what was asked of it
};

class Changes {
  public:
    static constexpr size_t MOST_QUEUED = 10000;

    // Begins with the next chunk that starts. Returns its number, from 1 on.
    int64_t add(const Change& change) {
        std::lock_guard lock(mutex_);
        std::optional<Due>& next = change.has_words() ? words_ : numbers_;
        if (!next) next.emplace();
        next->change.merge(change);
        std::optional<Due>& other = change.has_words() ? numbers_ : words_;
        if (other && change.cache) other->change.cache.reset(); // of an earlier change
        return next->update = ++last_;
    }
    // Begins after those queued before; the one queued after it begins `frames` later, or with the chunk after where
    // that is 0. 0: the queue is full.
    int64_t queue(const Change& change, int64_t frames) {
        std::lock_guard lock(mutex_);
        if (queue_.size() >= MOST_QUEUED) return 0;
        queue_.push_back({{++last_, change}, frames});
        return last_;
    }
    void clear() { // drops what is queued and has not begun
        std::lock_guard lock(mutex_);
        queue_.clear();
        next_queued_.reset();
    }

    void begin_with(const CacheFields& cache) { cache_ = cache; } // of the request, before any change
    // What is asked of the cache once what was added has begun; queued: and what is queued.
    CacheFields cache_asked(bool queued) const {
        std::lock_guard lock(mutex_);
        if (queued)
            for (auto next = queue_.rbegin(); next != queue_.rend(); ++next)
                if (next->due.change.cache) return *next->due.change.cache;
        for (const auto* next : {&words_, &numbers_}) // one of them has it at most
            if (*next && (*next)->change.cache) return *(*next)->change.cache;
        return cache_;
    }

    // Whether new prompts, or what is queued, wait for a chunk like this one.
    bool words_due(int64_t frame) const {
        std::lock_guard lock(mutex_);
        return words_ || (!queue_.empty() && next_queued_.value_or(frame) <= frame);
    }

    struct Due {
        int64_t update;
        Change change;
    };
    // For a chunk that starts, whose first frame is `frame`; `frame` grows from call to call. words: whether new
    // prompts and queued changes may begin now; if not, they wait. Empty: nothing changes.
    std::optional<Due> due(int64_t frame, bool words = true) {
        std::lock_guard lock(mutex_);
        std::optional<Due> now;
        const auto begin = [&](const Due& due) {
            if (!now) now.emplace();
            now->update = due.update;
            now->change.merge(due.change);
        };
        while (words && !queue_.empty() && next_queued_.value_or(frame) <= frame) {
            const Queued first = queue_.front();
            queue_.pop_front();
            begin(first.due);
            // Counted from when it should have begun: what is rounded up to whole chunks does not add up.
            next_queued_ = first.frames ? next_queued_.value_or(frame) + first.frames : frame + 1;
        }
        if (words && queue_.empty() && next_queued_ && *next_queued_ <= frame) next_queued_.reset();
        const bool words_last = words_ && (!numbers_ || words_->update > numbers_->update);
        for (std::optional<Due>* next : {words_last ? &numbers_ : &words_, words_last ? &words_ : &numbers_}) {
            if (!*next || (next == &words_ && !words)) continue;
            begin(**next);
            next->reset();
        }
        if (now && now->change.cache) cache_ = *now->change.cache;
        return now;
    }

  private:
    struct Queued {
        Due due;
        int64_t frames;
    };
    mutable std::mutex mutex_;
    int64_t last_ = 0;
    std::optional<Due> words_, numbers_; // added changes, merged: those with a prompt, and those without
    std::deque<Queued> queue_;
    CacheFields cache_;                  // asked for by the request and by what has begun
    std::optional<int64_t> next_queued_; // frame at which the first of the queue begins; empty: at once
};

} // namespace mc
