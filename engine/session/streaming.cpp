// SPDX-License-Identifier: LGPL-2.1-or-later
#include "engine/session/streaming.h"

#include <algorithm>

#include "engine/session/device_errors.h"
#include "engine/session/memory.h"

namespace mc::session {

namespace {

constexpr int64_t LEAST = 3; // with fewer, the two buffers take what the layers leave

Streaming with(const Streaming& now, int64_t layers) {
    return {layers, now.of_one};
}

} // namespace

std::optional<Streaming> stream_to_fit(const Streaming& now, int64_t layers, at::Device device, int64_t needed,
                                       int64_t free) {
    if (device.is_cpu()) return {};
    const auto fits = [&](int64_t n) { return needed - (with(now, n).freed() - now.freed()) <= free; };
    int64_t n = now.layers;
    if (!fits(n)) n = std::max(n + 1, LEAST);
    while (n <= layers && !fits(n)) n++;
    if (n > layers || with(now, n).host_bytes() - now.host_bytes() > free_memory()) return {};
    return with(now, n);
}

int64_t stream_to_load(const networks::LayerBytes& of_one, int64_t layers, at::Device device, int64_t& bytes,
                       const std::string& remedy,
                       const std::function<void(int level, const std::string& text)>& log) {
    const auto s = stream_to_fit({0, of_one}, layers, device, bytes + of_one.total(), free_memory(device));
    if (!s || !s->layers) return 0;
    bytes -= s->freed();
    if (log) log(2, streaming_text(*s, layers, device, remedy));
    return s->layers;
}

Streaming most_streamed(const Streaming& now, int64_t layers, at::Device device) {
    const Streaming all = with(now, layers);
    const bool helps = !device.is_cpu() && layers >= LEAST && all.freed() > now.freed() &&
                       all.host_bytes() - now.host_bytes() <= free_memory();
    return helps ? all : now;
}

void stream_for_video(int64_t needed, const Streaming& now, int64_t layers, at::Device device,
                      const std::string& remedy,
                      const std::function<void(int level, const std::string& text)>& log,
                      const std::function<void(int64_t layers)>& stream) {
    const int64_t free = free_memory(device);
    if (device.is_cpu() || needed <= free) return;
    const auto s = stream_to_fit(now, layers, device, needed, free);
    if (!s) return;
    if (log) log(2, streaming_text(*s, layers, device, remedy));
    with_memory_told(device, "Moving layers", s->buffers(), "ask for a smaller picture or fewer frames.",
                     [&] { stream(s->layers); });
}

std::string streaming_text(const Streaming& s, int64_t layers, at::Device device, const std::string& remedy) {
    return "the transformer does not fit into " + device.str() + "'s memory beside the rest: " +
           std::to_string(s.layers) + " of its " + std::to_string(layers) + " layers, " + gibibytes(s.host_bytes()) +
           ", stay in the computer's memory and are copied for every step, which takes longer" +
           (remedy.empty() ? "" : "; " + remedy);
}

} // namespace mc::session
