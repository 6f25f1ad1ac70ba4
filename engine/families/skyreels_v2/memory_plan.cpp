// SPDX-License-Identifier: LGPL-2.1-or-later
#include "engine/families/skyreels_v2/memory_plan.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "engine/error.h"
#include "engine/families/skyreels_v2/inputs.h"
#include "engine/own_stream.h"

namespace mc::skyreels_v2 {

WeightBytes weight_bytes(const model::Tensors& transformer, const model::Tensors& vae, const model::Tensors& text,
                         Precision precision, at::Device device, bool in_bytes) {
    auto as = [](const model::Tensors& t, int64_t element) {
        int64_t sum = 0;
        for (const auto& [name, view] : t.all())
            sum += int64_t(view.bytes / size_of(view.dtype)) * element;
        return sum;
    };
    const int64_t element = precision == Precision::FLOAT32 ? 4 : 2;
    WeightBytes made{as(transformer, element), as(text, element),
                     as(vae, wan_vae::WanVae::element_bytes(device, precision)), 0};
    for (const auto& [name, view] : transformer.all())
        if (name.starts_with("blocks.") && view.shape.size() == 2) // a code each, and a scale for each row
            made.saved += view.shape[0] * (view.shape[1] * (element - 1) - 4);
    if (in_bytes && !device.is_cpu()) made.transformer -= std::exchange(made.saved, 0);
    return made;
}

bool texts_known(session::TextEncoder& encoder, const text::Tokenizer& tokenizer, bool byte_fallback,
                 int64_t text_rows, const VideoSettings& settings) {
    const auto known = [&](const std::string& text) {
        return encoder.knows(tokenizer.encode(text, size_t(text_rows), byte_fallback));
    };
    return known(settings.prompt) && (settings.guidance_scale <= 1 || known(settings.negative_prompt));
}

MemoryPlan plan_memory(const VideoSettings& settings, const Windows& windows, const Planned& model) {
    const model::TransformerConfig& c = model.facts.transformer;
    const int64_t h = settings.height / model.facts.vae.spatial_factor,
                  w = settings.width / model.facts.vae.spatial_factor;
    if (settings.keys_in_bytes && model.device.is_cpu())
        throw Error(MC_ERROR_SETTINGS, "kv-precision=int8 is for GPUs: on the CPU keys and values lie as its attention "
                                       "reads them; drop it, or set device=cuda:0.");
    MemoryPlan plan;
    int64_t latents = 0;
    for (size_t i : windows.different) {
        const auto s = shape_of(settings, windows, i, h, w);
        const wan_dit::Spread spread = wan_dit::spread_over(model.ranks, s.branches, c.heads);
        const auto bytes = wan_dit::Window::bytes(c, model.precision, model.device, s, spread, model.rank);
        plan.keys_values = std::max(plan.keys_values, bytes.keys_values);
        plan.cache = std::max(plan.cache, bytes.remembered);
        plan.activations = std::max(plan.activations, bytes.workspace);
        latents = std::max<int64_t>(latents, s.frames * h * w * c.out_channels * 4);
    }
    plan.activations += workspace_bytes(model.device);
    if (model.rank) return plan;
    plan.activations += 10 * latents; // with the solver's state

    const bool by_pixels = windows.count > 1 && settings.long_video == LongVideo::PIXEL;
    const int64_t chunk = std::max(settings.causal_block_size, by_pixels ? overlap_latents(settings, 1) : 1);
    plan.vae = model.vae.decode_bytes(chunk, h, w);
    if (by_pixels) plan.vae = std::max(plan.vae, model.vae.encode_bytes(settings.overlap_history, h, w));
    if (!model.device.is_cpu()) { // frames that are not yet written, and those that the next window begins with
        const int64_t frames = session::CHUNKS_ON_DEVICE * chunk * model.facts.vae.temporal_factor +
                               (by_pixels ? settings.overlap_history : 0);
        plan.vae += frames * 3 * 4 * settings.width * settings.height;
    }
    plan.text = model.text_bytes(c.text_rows);
    return plan;
}

namespace {

bool fits(const session::Request& request, const Planned& model, int64_t free) {
    return session::fits(free, [&] {
        const VideoSettings s = complete(request, model.facts);
        return plan_memory(s, plan_windows(s, inputs_of(request).grid, request.cancel), model);
    });
}

// The largest n of [1, most) for which `ok`, which holds up to some n; 0: none.
template <typename F>
int64_t largest(int64_t most, const F& ok) {
    int64_t low = 0, high = most;
    while (high - low > 1) (ok((low + high) / 2) ? low : high) = (low + high) / 2;
    return low;
}

} // namespace

std::string what_fits(const session::Request& request, const Planned& model, int64_t free) {
    const VideoSettings s = complete(request, model.facts);
    std::string found;
    auto add = [&](const std::string& text) { found += (found.empty() ? "" : " or ") + text; };

    // In steps of a chunk, down from the window that there is.
    const int chunk = s.causal_block_size, window = s.length.windows.front();
    const bool one_window = s.length.windows.size() == 1;
    auto frames_of = [&](int64_t chunks) { return int(4 * (chunks * chunk - 1) + 1); };
    auto shorter = [&](int64_t chunks) {
        session::Request r = request;
        r.base_num_frames = frames_of(chunks);
        if (one_window) r.num_frames = frames_of(chunks);
        return r;
    };
    if (const int64_t n = largest(window / chunk, [&](int64_t n) { return fits(shorter(n), model, free); }))
        add((one_window ? "num-frames=" : "base-num-frames=") + std::to_string(frames_of(n)));

    if (s.attention == Attention::KV && !model.device.is_cpu() && !s.keys_in_bytes) {
        session::Request r = request;
        r.kv_precision = StoredPrecision::INT8;
        if (fits(r, model, free)) add("kv-precision=int8");
    }
    const int step = model.facts.vae.spatial_factor * int(model.facts.transformer.patch[1]);
    auto smaller = [&](int64_t rows) { // of tokens, in about the same shape
        session::Request r = request;
        r.height = int(rows) * step;
        r.width =
            std::max(1, int(std::lround(double(s.width) * *r.height / s.height / step))) * step;
        return r;
    };
    if (const int64_t n =
            largest(s.height / step, [&](int64_t n) { return fits(smaller(n), model, free); })) {
        const session::Request r = smaller(n);
        add("width=" + std::to_string(*r.width) + " height=" + std::to_string(*r.height));
    }
    return found.empty()
               ? "no smaller picture and no shorter video of this model would fit: use a smaller model."
               : found + " would fit.";
}

} // namespace mc::skyreels_v2
