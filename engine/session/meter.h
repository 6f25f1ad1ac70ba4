// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// What a video has cost so far. Written by the thread that makes it, read from any.
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <vector>

#include "engine/cache/settings.h"
#include "engine/sampler/turn.h"

namespace mc::session {

// One delivered chunk.
struct ChunkStats {
    int64_t first_frame, frames;
    sampler::ChunkCount count; // of its turns; the whole window's where attention is not kv
};

struct Stats {
    int64_t seed, frames, frames_total, chunks, chunks_total, forwards, forwards_total;
    double seconds_text, seconds_transformer, seconds_cache, seconds_schedule, seconds_vae;
    int64_t flop_transformer, flop_text, flop_vae;
    int64_t bytes_weights, bytes_planned, bytes_keys_values, bytes_cache;
    int width, height;
    cache::Kind cache;
    sampler::ChunkCount count;     // of all turns so far
    std::vector<ChunkStats> chunk; // of each chunk delivered
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
    // Does not copy the others.
    std::optional<ChunkStats> chunk(size_t index) const {
        std::lock_guard lock(mutex_);
        return index < stats_.chunk.size() ? std::optional(stats_.chunk[index]) : std::nullopt;
    }

  private:
    mutable std::mutex mutex_;
    Stats stats_{};
};

} // namespace mc::session
