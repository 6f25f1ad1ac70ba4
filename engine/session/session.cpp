// SPDX-License-Identifier: LGPL-2.1-or-later
#include "engine/session/session.h"

#include <ATen/ATen.h>
#include <algorithm>
#include <c10/core/InferenceMode.h>
#include <chrono>

#include "engine/device.h"
#include "engine/error.h"
#include "engine/processor.h"
#include "engine/session/device_errors.h"

namespace mc::session {

Session::Session(std::shared_ptr<const Family> family, Request request)
    : family_(std::move(family)), stream_(new_stream(family_->placement.device)), cancel_(request.cancel) {
    const InStream in_stream(stream_);
    video_ = family_->begin(std::move(request));
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

Session::~Session() {
    const InStream in_stream(stream_);
    try { // the model's weights may be freed next, and somebody else's video begin in their place
        wait_for(family_->placement.device);
    } catch (const std::exception&) { // a device that is lost
    }
    video_.reset();
}

std::optional<Frames> Session::next() {
    c10::InferenceMode guard;
    const InStream in_stream(stream_);
    set_thread_count(family_->placement.threads);
    std::optional<Frames> frames;
    with_memory_told(family_->placement.device, "This video", video_->outline().bytes,
                     "ask for a smaller picture, a smaller base-num-frames or fewer frames.",
                     [&] { frames = make_next(); });
    return frames;
}

std::optional<Frames> Session::make_next() {
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
