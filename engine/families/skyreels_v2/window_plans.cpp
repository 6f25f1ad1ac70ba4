// SPDX-License-Identifier: LGPL-2.1-or-later
#include "engine/families/skyreels_v2/window_plans.h"

#include <algorithm>

#include "engine/families/skyreels_v2/windows.h"
#include "engine/session/memory.h"

namespace mc::skyreels_v2 {

int overlap_latents(const Settings& settings, size_t window) {
    return window ? schedule::latent_frames(settings.overlap_history) : 0;
}

Windows plan_windows(const Settings& settings, schedule::Grid kind, Cancel cancel) {
    const schedule::TimeGrid grid = schedule::time_grid(settings.steps, settings.shift, kind);
    Windows made;
    auto& plans = made.plans;
    const auto& windows = settings.length.windows;
    int64_t generated = 0; // latent frames
    for (size_t i = 0; i < windows.size(); i++) generated += windows[i] - overlap_latents(settings, i);
    const int video_chunks = int(std::min<int64_t>(generated / settings.causal_block_size, INT32_MAX));
    for (size_t i = 0; i < windows.size(); i++) { // a long video has a million
        cancel.check();
        bool end_frame = settings.has_end_image && i + 1 == windows.size();
        int prefix = i ? overlap_latents(settings, i) : settings.has_image ? 1 : 0;
        prefix = std::min(prefix, windows[i]);
        const bool same = i && plans.back()->frames == windows[i] && plans.back()->prefix_frames == prefix &&
                          plans.back()->end_frame == end_frame;
        if (same) {
            plans.push_back(plans.back());
        } else {
            const sampler::WindowSettings window{windows[i],
                                                 prefix,
                                                 settings.causal_block_size,
                                                 settings.ar_step,
                                                 end_frame,
                                                 settings.guidance_scale,
                                                 settings.addnoise_condition,
                                                 settings.attention,
                                                 settings.finished_chunks,
                                                 settings.reference_windows,
                                                 video_chunks};
            session::check_memory(sampler::plan_bytes(window, settings.steps),
                                  "The plan of this request's windows",
                                  "ask for a smaller base-num-frames or fewer steps.");
            plans.push_back(std::make_shared<const sampler::WindowPlan>(sampler::plan_window(window, grid)));
            made.different.push_back(i);
            made.chunks_at_once = std::max(made.chunks_at_once, plans.back()->chunks_at_once());
        }
        made.forwards += plans.back()->forwards();
        made.chunks += (windows[i] - overlap_latents(settings, i)) / settings.causal_block_size;
    }
    return made;
}

transformer::Window::Shape shape_of(const Settings& settings, const Windows& windows, size_t window,
                                    int64_t height, int64_t width) {
    const sampler::WindowPlan& plan = *windows.plans[window];
    transformer::Window::Shape s{plan.columns(),     int(height), int(width), settings.causal_block_size,
                                 settings.attention, settings.fps};
    s.branches = plan.branches();
    s.chunks_at_once = windows.chunks_at_once;
    s.remembers = settings.cache.kind() != cache::Kind::NONE;
    s.reuse = settings.cache.reuse();
    return s;
}

int64_t sampling_bytes(const Settings& settings, const Windows& windows,
                       const model::TransformerConfig& transformer, Precision precision, int64_t height,
                       int64_t width) {
    int64_t most = 0, latents = 0;
    for (size_t i : windows.different) {
        const auto s = shape_of(settings, windows, i, height, width);
        most = std::max(most, transformer::Window::bytes(transformer, precision, s).total());
        latents = std::max<int64_t>(latents, s.frames * height * width * transformer.out_channels * 4);
    }
    return most + 10 * latents;
}

} // namespace mc::skyreels_v2
