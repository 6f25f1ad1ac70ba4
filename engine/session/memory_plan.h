// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// What a model and a video take of memory, as each family counts it; how a video gets room, and what is foretold.
#include <algorithm>
#include <c10/util/FunctionRef.h>
#include <functional>
#include <memory>
#include <string>

#include "engine/session/family.h"
#include "engine/session/streaming.h"
#include "engine/session/text_encoder.h"

namespace mc::session {

struct WeightBytes {
    int64_t transformer = 0, text_encoder = 0, vae = 0; // held in memory
    int64_t saved = 0; // what the transformer would take less with its matrices in bytes, which they are not
    int64_t total() const { return transformer + text_encoder + vae; }
};
// Where the text encoder, which is needed for a moment alone, goes: to the CPU where the weights would leave a device
// less than half of what is free for videos.
inline at::Device text_device(const WeightBytes& weights, at::Device device, int64_t free) {
    return weights.total() > free / 2 ? at::Device(at::kCPU) : device;
}

struct MemoryPlan {
    int64_t keys_values = 0, cache = 0, activations = 0, vae = 0; // while frames are sampled and decoded
    // While the prompt is encoded, before all that, with weights that are held for it alone; 0 where that is on another
    // device.
    int64_t text = 0;
    int64_t total() const { return std::max(text, keys_values + cache + activations + vae); }
};

// How a model is held, as far as plans of all families ask; each adds what its own asks.
struct Parts {
    Precision precision, text_precision; // of all, and of the text encoder
    at::Device device, text_device;
    const model::TextEncoderConfig& text;
    int64_t text_on_demand = 0; // bytes of its weights where they are held only while a text is encoded
    bool text_known = false;    // what it gives for the request's texts is on disk: it is not needed
    int64_t text_bytes(int64_t rows) const; // MemoryPlan::text, of texts of at most so many tokens
};
Parts parts_of(const Placement& placement, const TextEncoder& text_encoder);

// What a family says of a request that it has completed.
struct Needs {
    std::function<bool(TextEncoder& on_demand)> text_known; // whether it knows all texts
    std::function<MemoryPlan(const Parts& parts)> plan;
    // Settings that would fit into so many bytes, or where none do, what then helps: a sentence.
    std::function<std::string(const Parts& parts, int64_t free)> what_fits;
};
// For what_fits: no also where such a request would be refused for another reason.
bool fits(int64_t free, c10::function_ref<MemoryPlan()> plan);

// What of a model in memory gives way to a video.
struct Movable {
    const Placement& placement;
    TextEncoder& text_encoder;
    int64_t layers; // of the transformer
    std::function<Streaming()> streaming; // now
    std::function<void(int64_t layers)> stream;
    std::string smaller_layers; // streaming_text()'s remedy
    const std::function<void(int level, const std::string& text)>& log;
};
// The text encoder goes to the CPU, then layers go to the host, where a device is short of what the outline is then
// told; throws MC_ERROR_MEMORY where that does not help.
void make_room(const Needs& needs, const Movable& model, Cancel cancel, Outline& outline);

// A model of which the headers of weight files are read; parts: but for where the text encoder goes.
struct Unread {
    Parts parts;
    WeightBytes weights;
    int64_t layers; // of the transformer
    networks::LayerBytes of_one;
    std::shared_ptr<const model::Tensors> text;
};
// What model and session will do, without a weight.
MemoryForecast forecast(const Needs& needs, Unread model, const LoadOptions& options);

} // namespace mc::session
