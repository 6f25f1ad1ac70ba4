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
#include "engine/request/field.h"
#include "engine/text/prompt_cleaning.h"

namespace mc::session {

Session::Session(std::shared_ptr<const Family> family, Request request)
    : family_(std::move(family)), stream_(family_->placement.device), cancel_(request.cancel) {
    check_fields(request, family_->name());
    const InStream in_stream(stream_.get());
    // As many threads as in next(): a kept embedding is found under the number that it was made with.
    const LibraryThreads library(family_->placement.device.is_cpu() ? 1 : family_->placement.threads);
    MadeWith asked;
    asked.prompt = request.prompt.value_or("");
    asked.negative_prompt = request.negative_prompt.value_or("");
    asked.guidance_scale = request.guidance_scale.value_or(1);
    request_ = std::make_shared<const MadeWith>(asked);
    changes_->begin_with(request.cache, [this](const CacheFields& cache) {
        try {
            video_->check_cache(cache);
            return true;
        } catch (const Error&) {
            return false;
        }
    });
    request.changes = changes_;
    request.reading = [call = on_reading_](double share) {
        if (*call) (*call)(share);
    };
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
        s.window_chunks = o.window_chunks;
    });
}

Session::~Session() {
    const InStream in_stream(stream_.get());
    try { // the model's weights may be freed next, and somebody else's video begin in their place
        wait_for(family_->placement.device);
    } catch (const std::exception&) { // a device that is lost
    }
    video_.reset();
}

std::optional<Frames> Session::next(bool stay) {
    c10::InferenceMode guard;
    const InStream in_stream(stream_.get());
    set_thread_count(family_->placement.threads);
    const LibraryThreads library(family_->placement.device.is_cpu() ? 1 : family_->placement.threads);
    std::optional<Frames> frames;
    with_memory_told(family_->placement.device, "This video", video_->outline().bytes,
                     "ask for a smaller picture, a smaller base-num-frames or fewer frames.",
                     [&] { frames = make_next(stay); });
    return frames;
}

std::optional<Frames> Session::make_next(bool stay) {
    const int64_t total = video_->outline().frames;
    while (total < 0 || delivered_ < total) {
        cancel_.check();
        const std::optional<FinishedFrames> chunk = video_->take(meter_);
        if (!chunk) {
            if (!video_->step(meter_)) break;
            if (on_step_) on_step_();
            continue;
        }
        const int64_t made = chunk->pixels.size(1), count = total < 0 ? made : std::min(made, total - delivered_);
        at::Tensor pixels = chunk->pixels.narrow(1, 0, count).clamp(-1, 1).contiguous();
        if (!stay) pixels = pixels.cpu();
        // Behind all else that was asked of a device, so it waits for that.
        if (!at::isfinite(chunk->pixels.sum()).item<bool>())
            throw Error(MC_ERROR_NUMBERS,
                        "The VAE produced NaN or infinity; its weights are damaged: fetch the file again.");
        Frames result{std::move(pixels), delivered_,
                      chunk->made_with ? chunk->made_with : request_,
                      chunks_++,
                      chunk->count,
                      chunk->map,
                      made};
        if (!result.map) {
            const int64_t computed = chunk->count.tokens_computed;
            result.map = std::make_shared<const sampler::TokenMap>(
                sampler::TokenMap::even(computed, computed + chunk->count.tokens_reused));
        }
        delivered_ += count;
        meter_.deliver({result.first, count, chunk->count});
        return result;
    }
    return std::nullopt;
}

int64_t Session::update(const Fields& wanted, std::optional<int64_t> frames, bool all_of_cache) {
    const auto refuse = [](const std::string& message) { throw Error(MC_ERROR_SETTINGS, message); };
    check_fields(wanted, family_->name());
    const Outline& o = video_->outline(); // does not change
    if (!o.changes) refuse("Videos of this model cannot be changed while they are made: start a new one.");
    if (wanted.prompt && text::clean_prompt(*wanted.prompt).empty())
        refuse("The new prompt is empty: give a sentence that describes the video.");
    if (wanted.guidance_scale.value_or(0) > 1 && !o.guided)
        refuse(
            "guidance-scale was 1 or less when the video began, so that nothing was planned for guidance: begin with more "
            "than 1 to change it later.");
    if (frames && (*frames < 0 || *frames > INT32_MAX))
        refuse("A queued change must count for 0 or more frames.");
    std::lock_guard lock(asking_);
    const Change change{wanted.prompt,         wanted.negative_prompt,
                        wanted.guidance_scale, wanted.prompt_transition,
                        wanted.cache,          all_of_cache};
    if (change.has_cache())
        video_->check_cache(change.cache_after(changes_->cache_asked(frames.has_value())));
    const int64_t number = frames ? changes_->queue(change, *frames) : changes_->add(change);
    if (!number)
        refuse(std::to_string(Changes::MOST_QUEUED) +
               " changes are waiting, and no more can: queue them later.");
    return number;
}

void Session::clear_updates() {
    changes_->clear();
}

networks::CallCount Session::calls() const {
    return video_->calls();
}

Stats Session::stats() const {
    return meter_.stats();
}

std::optional<ChunkStats> Session::chunk_stats(size_t index) const {
    return meter_.chunk(index);
}

} // namespace mc::session
