// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// What a video has cost so far. Written by the thread that makes it, read from any.
#include <cstdint>
#include <functional>
#include <mutex>
#include <deque>
#include <optional>

#include "engine/cache/settings.h"
#include "engine/sampler/turn.h"

namespace mc::session {

// One delivered chunk.
struct ChunkStats {
    int64_t first_frame, frames;
    sampler::ChunkCount count; // of its turns; the whole window's where attention is not kv
};

struct Stats {
    int64_t seed, frames, frames_total, chunks, chunks_total, forwards, forwards_total; // totals: -1 without end
    double seconds_text, seconds_transformer, seconds_cache, seconds_schedule, seconds_vae;
    int64_t flop_transformer, flop_text, flop_vae;
    int64_t bytes_weights, bytes_planned, bytes_keys_values, bytes_cache;
    int width, height, window_chunks;
    CacheKind cache;
    sampler::ChunkCount count; // of all turns so far
    // Taken and in all, of the chunk that is delivered next (of its window where attention is not kv). 0, 0: unknown.
    int step, steps;
};

class Meter {
  public:
    void update(const std::function<void(Stats&)>& change) {
        std::lock_guard lock(mutex_);
        change(stats_);
    }
    Stats stats() const {
        std::lock_guard lock(mutex_);
        return stats_;
    }
    void deliver(const ChunkStats& chunk) {
        std::lock_guard lock(mutex_);
        stats_.chunks++;
        stats_.frames = chunk.first_frame + chunk.frames;
        chunks_.push_back(chunk);
        if (chunks_.size() <= CHUNKS_KEPT) return;
        chunks_.pop_front();
        forgotten_++;
    }
    // A chunk that was delivered has had more turns since.
    void recount(size_t index, const sampler::ChunkCount& count) {
        std::lock_guard lock(mutex_);
        if (has(index)) chunks_[index - forgotten_].count = count;
    }
    // Empty: not delivered yet, or no more kept.
    std::optional<ChunkStats> chunk(size_t index) const {
        std::lock_guard lock(mutex_);
        return has(index) ? std::optional(chunks_[index - forgotten_]) : std::nullopt;
    }

  private:
    static constexpr size_t CHUNKS_KEPT = 1024; // MC_CHUNKS_KEPT: a stream has no end
    bool has(size_t index) const { return index >= forgotten_ && index - forgotten_ < chunks_.size(); }
    mutable std::mutex mutex_;
    Stats stats_{};
    std::deque<ChunkStats> chunks_;
    size_t forgotten_ = 0;
};

} // namespace mc::session
