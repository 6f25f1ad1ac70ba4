// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// How many layers of a transformer stay in the computer's memory, where a device has no room for all of them
// (engine/networks/layer_stream.h).
#include <c10/core/Device.h>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "engine/networks/layer_stream.h"

namespace mc::session {

struct Streaming {
    int64_t layers = 0;
    networks::LayerBytes of_one{};
    int64_t host_bytes() const { return layers * of_one.total(); }
    int64_t buffers() const { return layers ? 2 * of_one.forward : 0; } // on the device, of all videos together
    int64_t freed() const { return host_bytes() - buffers(); }          // on the device
};

// The fewest of all `layers`, at least those of `now`, with which what needs so many bytes beside what is held now fits
// into `free`; empty: not even with all, or none: a CPU, or the computer's memory is short too.
std::optional<Streaming> stream_to_fit(const Streaming& now, int64_t layers, at::Device device, int64_t needed,
                                       int64_t free);
// How many layers the host keeps when weights of so many bytes are read, which holds a layer twice for a moment; a user
// is told. `bytes` becomes what the device holds then.
int64_t stream_to_load(const networks::LayerBytes& of_one, int64_t layers, at::Device device, int64_t& bytes,
                       const std::string& remedy,
                       const std::function<void(int level, const std::string& text)>& log);
// With all layers, where that helps; else `now`.
Streaming most_streamed(const Streaming& now, int64_t layers, at::Device device);
// As many more layers go to the host as a video needs that takes so many bytes, where that helps.
void stream_for_video(int64_t needed, const Streaming& now, int64_t layers, at::Device device,
                      const std::string& remedy,
                      const std::function<void(int level, const std::string& text)>& log,
                      const std::function<void(int64_t layers)>& stream);
// What a user is told. remedy: ""; or what makes layers smaller.
std::string streaming_text(const Streaming& streaming, int64_t layers, at::Device device, const std::string& remedy);

} // namespace mc::session
