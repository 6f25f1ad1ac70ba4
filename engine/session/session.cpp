// SPDX-License-Identifier: LGPL-2.1-or-later
#include "engine/session/session.h"

#include <ATen/ATen.h>
#include <algorithm>
#include <c10/core/InferenceMode.h>
#include <chrono>

#include "engine/error.h"
#include "engine/processor.h"

namespace mc::session {

Session::Session(std::shared_ptr<const Family> family, Request request)
    : family_(std::move(family)), cancel_(request.cancel), video_(family_->begin(std::move(request))) {
    const Outline& o = video_->outline();
    meter_.update([&](Stats& s) {
        s.seed = o.seed;
        s.width = o.width;
        s.height = o.height;
        s.frames_total = o.frames;
        s.chunks_total = o.chunks;
        s.forwards_total = o.forwards;
        s.bytes_weights = family_->bytes();
        s.bytes_planned = s.bytes_weights + o.bytes;
        s.bytes_keys_values = o.bytes_keys_values;
        s.bytes_cache = o.bytes_cache;
        s.cache = o.cache;
    });
}

Session::~Session() = default;

std::optional<Frames> Session::next() {
    c10::InferenceMode guard;
    set_thread_count(family_->placement.threads);
    const int64_t total = video_->outline().frames;
    while (delivered_ < total) {
        cancel_.check();
        const std::optional<Chunk> chunk = video_->take(meter_);
        if (!chunk) {
            if (!video_->step(meter_)) break;
            continue;
        }
        if (!at::isfinite(chunk->pixels.sum()).item<bool>())
            throw Error(MC_ERROR_NUMBERS,
                        "The VAE produced NaN or infinity; its weights are damaged: fetch the file again.");
        const int64_t count = std::min(chunk->pixels.size(1), total - delivered_);
        Frames result{chunk->pixels.narrow(1, 0, count).clamp(-1, 1), delivered_};
        delivered_ += count;
        meter_.update([&](Stats& s) {
            s.frames = delivered_;
            s.chunks++;
            s.chunk.push_back({result.first, count, chunk->count});
        });
        return result;
    }
    return std::nullopt;
}

transformer::CallCount Session::calls() const {
    return video_->calls();
}

Stats Session::stats() const {
    return meter_.stats();
}

std::optional<ChunkStats> Session::chunk_stats(size_t index) const {
    return meter_.chunk(index);
}

} // namespace mc::session
