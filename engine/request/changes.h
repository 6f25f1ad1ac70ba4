// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// Changes of a request while its video is made: added from any thread, fetched by the thread that makes the video
// whenever a chunk starts. No Torch.
#include <array>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <optional>
#include <string>

#include "engine/request/fields.h"

namespace mc {

// What is set of `now` is set of `values` too.
void set_from(const CacheFields& now, CacheFields& values);

// What is not set stays as it is.
struct Change {
    std::optional<std::string> prompt, negative_prompt;
    std::optional<double> guidance_scale;
    std::optional<int> prompt_transition;
    CacheFields cache;
    bool all_of_cache = false; // what is not set of `cache` gets its default instead
    bool has_prompts() const { return prompt || negative_prompt; }
    bool has_cache() const { return all_of_cache || cache != CacheFields{}; }
    // What is asked of the cache once it has begun, where that was asked before.
    CacheFields cache_after(const CacheFields& before) const;
    // Where both are set, `later` counts.
    void merge(const Change& later);
};

// What the frames of a chunk were made with.
struct MadeWith {
    int64_t update = 0; // number of the last change; 0: the request
    std::string prompt, negative_prompt;
    double guidance_scale = 1, cache_threshold = 0; // 0: nothing is cached
    CacheKind cache = CacheKind::NONE;              // in use
};

class Changes {
  public:
    static constexpr size_t MOST_QUEUED = 10000;

    // Of the request, before any change. possible: whether a cache can be asked for like this by now; null: any.
    void begin_with(const CacheFields& cache, std::function<bool(const CacheFields&)> possible = {});
    // Begins with the next chunk that starts. Returns its number, from 1 on.
    int64_t add(const Change& change);
    // Begins after those queued before; the one queued after it begins `frames` later, or with the chunk after where
    // that is 0. 0: the queue is full.
    int64_t queue(const Change& change, int64_t frames);
    void clear(); // drops what is queued and has not begun

    // What is asked of the cache once what was added has begun; queued: and what is queued.
    CacheFields cache_asked(bool queued) const;
    // Whether new prompts, or what is queued, wait for a chunk like this one.
    bool prompts_due(int64_t frame) const;

    struct Due {
        int64_t update; // number of the last change in it
        Change change;
        // All that is asked of the cache from here on; empty: it stays. A change that has become impossible, because
        // the cache is another one by now, is left out.
        std::optional<CacheFields> cache;
    };
    // For a chunk that starts, whose first frame is `frame`; `frame` grows from call to call. prompts: whether new
    // prompts and queued changes may begin now; if not, they wait. Empty: nothing changes.
    std::optional<Due> due(int64_t frame, bool prompts = true);

  private:
    struct Asked { // number of its last change, and of the last one that was of the cache
        int64_t update, cache_update;
        Change change;
    };
    struct Queued {
        Asked asked;
        int64_t frames;
    };
    // Those that were added, in the order of such numbers.
    std::array<const std::optional<Asked>*, 2> added(int64_t Asked::*number) const;
    void begin(const Asked& asked, std::optional<Due>& now);
    void begin_cache(const Asked& asked, std::optional<Due>& now);

    mutable std::mutex mutex_;
    int64_t last_ = 0;
    std::optional<Asked> prompts_, others_; // added changes, merged: those with a prompt, and those without
    std::deque<Queued> queue_;
    CacheFields cache_;                                // asked for by the request and by what has begun
    std::function<bool(const CacheFields&)> possible_; // null: any is
    std::optional<int64_t> next_queued_; // frame at which the first of the queue begins; empty: at once
};

} // namespace mc
