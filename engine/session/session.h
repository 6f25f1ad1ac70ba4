// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// A request in, the frames of one chunk after the other out. The C API (c_api.cpp) is a thin layer over this.
#include <ATen/core/Tensor.h>
#include <memory>
#include <optional>

#include "engine/session/family.h"

namespace mc::session {

struct Frames {
    at::Tensor pixels; // [3, n, H, W] float32 in [-1, 1], on the CPU
    int64_t first;     // index of the first one in the video
};

class Session {
  public:
    // Throws mc::Error: MC_ERROR_SETTINGS for what cannot work, MC_ERROR_MEMORY with needed and free bytes.
    Session(std::shared_ptr<const Family> family, Request request);
    ~Session();
    std::optional<Frames> next(); // empty: all were delivered
    Stats stats() const;          // from any thread
    std::optional<ChunkStats>
    chunk_stats(size_t index) const; // of one chunk, from any thread; does not copy the others
    // What the transformer has run so far, by shape: for a benchmark that runs the same alone. From the thread of next().
    transformer::CallCount calls() const;

  private:
    std::shared_ptr<const Family> family_; // outlives the video
    Cancel cancel_;
    std::unique_ptr<Video> video_;
    Meter meter_;
    int64_t delivered_ = 0;
};

} // namespace mc::session
