// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// What a model and a video take of memory, as each family counts it.
#include <algorithm>
#include <c10/core/Device.h>
#include <cstdint>

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

} // namespace mc::session
