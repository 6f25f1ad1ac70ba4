// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// A request in, the frames of one chunk after the other out. The C API (c_api.cpp) is a thin layer over this.
#include <ATen/core/Tensor.h>
#include <c10/core/Stream.h>
#include <memory>
#include <mutex>
#include <optional>

#include "engine/own_stream.h"
#include "engine/session/family.h"

namespace mc::session {

struct Frames {
    at::Tensor pixels; // [3, n, H, W] float32 in [-1, 1], done
    int64_t first;     // index of the first one in the video
    std::shared_ptr<const MadeWith> made_with = {};
    int64_t chunk = 0;         // that they are, counted from 0
    sampler::ChunkCount count; // of its turns so far
    std::shared_ptr<const sampler::TokenMap> map; // never null
    int64_t decoded = 0; // pictures up to the map's end: those here, and what was cut off behind them
};

class Session {
  public:
    // Throws mc::Error: MC_ERROR_SETTINGS for what cannot work, MC_ERROR_MEMORY with needed and free bytes.
    Session(std::shared_ptr<const Family> family, Request request);
    ~Session();
    // Empty: all were delivered. Pixels come on the CPU, or with `stay` where the model's device made them.
    std::optional<Frames> next(bool stay = false);
    // From any thread: what is set of the fields that may change while a video is made (Field::while_playing) counts
    // from the next chunk on that starts; with `frames` behind those queued before (Changes). What is not set stays as
    // it is when the change begins; all_of_cache: the cache's fields get their defaults instead. Returns the number of
    // the change. Throws MC_ERROR_SETTINGS for what cannot be, and nothing changes.
    int64_t update(const Fields& wanted, std::optional<int64_t> frames = {}, bool all_of_cache = false);
    void clear_updates();                                      // queued ones that have not begun; from any thread
    Stats stats() const;                                       // from any thread
    std::optional<ChunkStats> chunk_stats(size_t index) const; // from any thread; as Meter::chunk
    // Called by the thread of next() after each step of the video.
    void on_step(std::function<void()> call) { on_step_ = std::move(call); }
    // Likewise while a text encoder is read that is not kept in memory, with the share that is read, from 0 to 1.
    void on_reading(std::function<void(double)> call) { *on_reading_ = std::move(call); }
    // What the transformer has run so far, by shape: for a benchmark that runs these calls alone. From the thread of
    // next().
    networks::CallCount calls() const;

  private:
    std::optional<Frames> make_next(bool stay);

    std::shared_ptr<const Family> family_; // outlives the video
    const OwnStream stream_;               // of a device; the same in every calling thread
    Cancel cancel_;
    const std::shared_ptr<Changes> changes_ = std::make_shared<Changes>();
    std::mutex asking_;                       // held from the check of a cache until the change is added
    std::shared_ptr<const MadeWith> request_; // for chunks whose made_with is null
    // The video calls it by its request.
    const std::shared_ptr<std::function<void(double)>> on_reading_ = std::make_shared<std::function<void(double)>>();
    std::unique_ptr<Video> video_;
    Meter meter_;
    int64_t delivered_ = 0, chunks_ = 0;
    std::function<void()> on_step_;
};

} // namespace mc::session
