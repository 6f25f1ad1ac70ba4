// SPDX-License-Identifier: LGPL-2.1-or-later
#include "engine/session/memory_plan.h"

#include "engine/device.h"
#include "engine/own_stream.h"
#include "engine/processor.h"
#include "engine/session/memory.h"

namespace mc::session {

int64_t Parts::text_bytes(int64_t rows) const {
    if (text_device != device || text_known) return 0;
    return text_on_demand + workspace_bytes(device) + t5::Encoder::encode_bytes(text, text_precision, device, rows);
}

Parts parts_of(const Placement& p, const TextEncoder& text) {
    return {p.precision, text.precision(), p.device, text.device(), text.config(), text.bytes_on_demand()};
}

bool fits(int64_t free, c10::function_ref<MemoryPlan()> plan) {
    try {
        return plan().total() <= free;
    } catch (const Error& e) {
        if (e.status == MC_CANCELLED) throw;
        return false;
    }
}

void make_room(const Needs& needs, const Movable& model, Cancel cancel, Outline& outline) {
    const at::Device device = model.placement.device;
    TextEncoder& text = model.text_encoder;
    const auto parts = [&] {
        Parts now = parts_of(model.placement, text);
        now.text_known = text.on_demand() && needs.text_known(text);
        return now;
    };
    MemoryPlan plan = needs.plan(parts());
    if (text.device() != at::kCPU && plan.total() > free_memory(device) && text.weight_bytes() <= free_memory()) {
        text.move_to(at::kCPU, cancel);
        give_back_memory(device);
        if (model.log) model.log(4, "the text encoder moves to the CPU, to leave " + device.str() + " for the video");
        plan = needs.plan(parts());
    }
    stream_for_video(plan.total(), model.streaming(), model.layers, device, model.smaller_layers, model.log,
                     model.stream);
    outline.bytes_keys_values = plan.keys_values;
    outline.bytes_cache = plan.cache;
    outline.bytes = plan.total();
    check_memory(
        outline.bytes, "This request",
        [&](int64_t free) {
            const Streaming now = model.streaming();
            free += most_streamed(now, model.layers, device).freed() - now.freed();
            return needs.what_fits(parts(), free);
        },
        device);
}

MemoryForecast forecast(const Needs& needs, Unread model, const LoadOptions& options) {
    Parts& parts = model.parts;
    const at::Device device = parts.device;
    set_thread_count(thread_count(options)); // each takes memory
    MemoryForecast f;
    f.device = device, f.precision = parts.precision;
    f.transformer = model.weights.transformer, f.vae_weights = model.weights.vae;
    f.text_encoder = model.weights.text_encoder;
    f.free = free_memory(device);
    f.text_device = parts.text_device = text_device(model.weights, device, f.free);
    f.text_on_demand = TextEncoder::on_demand(f.text_encoder);
    if (f.text_on_demand) {
        const LibraryThreads library(device.is_cpu() ? 1 : thread_count(options)); // as in a session
        TextEncoder encoder(model.text, parts.text, parts.text_precision, parts.text_device, {});
        parts.text_on_demand = f.text_encoder;
        parts.text_known = needs.text_known(encoder);
    }
    MemoryPlan plan = needs.plan(parts);
    const auto total = [&] { return f.weights() + plan.total(); };
    if (total() > f.free && !device.is_cpu()) { // as make_room() will move it
        f.text_device = parts.text_device = at::kCPU;
        plan = needs.plan(parts);
    }
    if (total() > f.free && !device.is_cpu()) { // as the model and make_room() will
        const Streaming none{0, model.of_one};
        const Streaming s = stream_to_fit(none, model.layers, device, total(), f.free)
                                .value_or(most_streamed(none, model.layers, device));
        f.transformer -= s.freed();
        f.streamed = s.host_bytes();
    }
    f.saved = device.is_cpu() || f.streamed ? 0 : model.weights.saved;
    f.keys_values = plan.keys_values, f.cache = plan.cache, f.activations = plan.activations;
    f.vae = plan.vae, f.text = plan.text;
    f.total = total();
    if (f.total > f.free) f.would_fit = needs.what_fits(parts, f.free - f.weights());
    return f;
}

} // namespace mc::session
