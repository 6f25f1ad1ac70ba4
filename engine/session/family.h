// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// What the session knows of a model family: a model in memory that begins videos, and a video that is made step by
// step and hands out frames. How (schedule, sampler, prefixes, joints of windows) is up to the family; each is a
// folder in engine/families.
#include <ATen/core/Tensor.h>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "engine/cache/settings.h"
#include "engine/device.h"
#include "engine/networks/linear.h"
#include "engine/sampler/token_map.h"
#include "engine/session/loading.h"
#include "engine/session/meter.h"
#include "engine/session/request.h"

namespace mc::session {

// Of a video, known before anything big is allocated.
struct Outline {
    int64_t seed;
    int width, height; // pixels
    int64_t frames, chunks, forwards; // -1: without end
    int64_t bytes; // that it takes beside the weights, at its worst moment; of these:
    int64_t bytes_keys_values, bytes_cache;
    CacheKind cache;
    int window_chunks = 0; // that each window but the last one gives; 0: not known
    bool changes = false; // follows Request::changes
    bool guided = false;  // guidance_scale above 1 is possible
};

// Chunks whose frames may stay on a device until they are written; plans of memory count them. More go to the CPU.
constexpr int CHUNKS_ON_DEVICE = 3;

// The next frames that will not change any more.
struct FinishedFrames {
    at::Tensor pixels;         // [3, n, H, W] float32 on the CPU or the model's device, n > 0, not clamped
    sampler::ChunkCount count; // of its turns so far; the meter is told where more follow
    std::shared_ptr<const MadeWith> made_with = {}; // null: the request
    std::shared_ptr<const sampler::TokenMap> map = {}; // up to the latent frame of the last pixels; null: not known
};

// One request on its way from noise to frames. From one thread.
class Video {
  public:
    virtual ~Video() = default;
    virtual const Outline& outline() const = 0;
    // The text at first, then one row of the schedule per call. False: none is left, and nothing was done.
    virtual bool step(Meter& meter) = 0;
    // Empty: take another step. What comes may be more than the outline's frames, at the end.
    virtual std::optional<FinishedFrames> take(Meter& meter) = 0;
    // What the transformer has run so far, by shape.
    virtual networks::CallCount calls() const = 0;
    // Of a video that follows changes, from any thread: throws MC_ERROR_SETTINGS where chunks that begin from now on
    // cannot be made with such a cache, all of whose fields these are.
    virtual void check_cache(const CacheFields&) const {}
};

// A model in memory, shared by sessions. It outlives its videos.
class Family {
  public:
    // Behind the destructors of what it holds: its memory of a device goes back to the system.
    virtual ~Family() { give_back_memory(placement.device); }
    // Completes the request with the model's defaults, refuses what cannot work (MC_ERROR_SETTINGS) or does not fit
    // (MC_ERROR_MEMORY, with both numbers), and plans.
    virtual std::unique_ptr<Video> begin(Request request) const = 0;
    virtual int64_t bytes() const = 0; // of all weights held
    virtual ModelFamily name() const = 0;
    Placement placement;
};

// What opening a model and running a request will take of the device, and what that has.
struct MemoryForecast {
    at::Device device = at::kCPU, text_device = at::kCPU; // text_device: of the text encoder
    bool text_on_demand = false; // the text encoder is held only while a text is encoded, and counted in `text`
    Precision precision = Precision::FLOAT32;
    int64_t transformer = 0, text_encoder = 0, vae_weights = 0;   // weights
    int64_t saved = 0; // bytes of weights that weights-precision=int8 would save, where it is not set
    int64_t streamed = 0; // of the transformer's, which the host keeps: not in `transformer`, not on the device
    int64_t keys_values = 0, cache = 0, activations = 0, vae = 0; // while a video is made
    int64_t text = 0;                                             // while its prompt is encoded, before all that
    int64_t total = 0, free = 0;                                  // total: at the worst moment
    std::string would_fit; // where it does not: settings that would, as a sentence
    int64_t weights() const { // held all the time
        return transformer + vae_weights + (text_device == device && !text_on_demand ? text_encoder : 0);
    }
};
// Made by a family that has looked at a request (its Model::look), and refers to it; reads headers of weight files.
using Forecast = std::function<MemoryForecast(at::Device device)>;

// Each of these goes to the family whose model lies at `path` (engine/families/families.cpp).
std::shared_ptr<const Family> open_family(const std::string& path, const LoadOptions& options);
// The other processes that make its videos together with this one (engine/ranks): runs forwards of the transformer for
// rank 0 until that ends. path: of the model folder here; empty: rank 0's. Throws when rank 0 ends in the middle.
void run_worker(ranks::Group& group, const std::string& path, const LoadOptions& options);
// What can be said against a request before the weights are read, which takes minutes for a large model. In this order:
// a device that is named and cannot be used; settings that contradict each other or the JSON files of the folder,
// before any weight file is opened; with the headers of the weight files, settings that contradict these, and the
// memory that weights and windows take at least. No weight is read. Throws what open_family or Session would throw, and
// accepts nothing for good: both look again.
void check_early(const std::string& path, const LoadOptions& options, const Request& request);
// Of a request that could be made with enough memory; of any other throws what check_early throws. No weight is read.
MemoryForecast forecast_memory(const std::string& path, const LoadOptions& options, const Request& request);

} // namespace mc::session
