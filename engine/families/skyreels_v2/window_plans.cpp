// SPDX-License-Identifier: LGPL-2.1-or-later
#include "engine/families/skyreels_v2/window_plans.h"

#include <algorithm>

#include "engine/families/skyreels_v2/windows.h"
#include "engine/session/memory.h"

namespace mc::skyreels_v2 {

int overlap_latents(const VideoSettings& settings, size_t window) {
    return window ? latent_frames(settings.overlap_history) : 0;
}

Windows plan_windows(const VideoSettings& settings, Grid kind, Cancel cancel) {
    const TimeGrid grid = time_grid(settings.steps, settings.shift, kind);
    const WindowLengths& lengths = settings.length.windows;
    const bool endless = lengths.endless();
    Windows made;
    made.count = lengths.size();
    const auto plan = [&](size_t window, int video_chunks) {
        cancel.check();
        const bool end_frame = settings.has_end_image && window + 1 == made.count;
        const int prefix = window ? overlap_latents(settings, window) : settings.has_image ? 1 : 0;
        const WindowSettings asked{lengths[window],
                                   std::min(prefix, lengths[window]),
                                   settings.causal_block_size,
                                   settings.ar_step,
                                   end_frame,
                                   settings.guidance_scale,
                                   settings.addnoise_condition,
                                   settings.attention,
                                   settings.finished_chunks,
                                   settings.reference_windows,
                                   video_chunks};
        session::check_memory(plan_bytes(asked, settings.steps), "The plan of this request's windows",
                              "ask for a smaller base-num-frames or fewer steps.");
        auto plan = std::make_shared<const WindowPlan>(plan_window(asked, grid));
        made.different.push_back(window);
        made.chunks_at_once = std::max(made.chunks_at_once, plan->chunks_at_once());
        return plan;
    };
    const auto generated = [&](size_t window) -> int64_t { // latent frames
        return lengths[window] - overlap_latents(settings, window);
    };
    // Windows in the middle are alike.
    const int64_t between = made.count > 2 ? int64_t(made.count) - 2 : 0;
    int video_chunks = 0;
    if (!endless) {
        const int64_t all = generated(0) + (between ? between * generated(1) : 0) +
                            (made.count > 1 ? generated(made.count - 1) : 0);
        video_chunks = int(std::min<int64_t>(all / settings.causal_block_size, INT32_MAX));
    }
    made.first = plan(0, video_chunks);
    if (between) made.middle = plan(1, video_chunks);
    if (endless) {
        made.forwards = made.chunks = ENDLESS;
        return made;
    }
    if (made.count > 1) {
        const bool same = made.middle && lengths.back() == lengths[1] && !settings.has_end_image;
        made.last = same ? made.middle : plan(made.count - 1, video_chunks);
    }
    made.forwards = made.first->forwards() + (between ? between * made.middle->forwards() : 0) +
                    (made.last ? made.last->forwards() : 0);
    const auto chunks = [&](size_t window) { return generated(window) / settings.causal_block_size; };
    made.chunks = chunks(0) + (between ? between * chunks(1) : 0) + (made.count > 1 ? chunks(made.count - 1) : 0);
    return made;
}

wan_dit::Window::Shape shape_of(const VideoSettings& settings, const Windows& windows, size_t window,
                                int64_t height, int64_t width) {
    const WindowPlan& plan = windows.plan(window);
    wan_dit::Window::Shape s{plan.columns(),     int(height), int(width), settings.causal_block_size,
                             settings.attention, settings.fps};
    s.branches = plan.branches();
    s.chunks_at_once = windows.chunks_at_once;
    s.remembers = settings.cache.kind() != CacheKind::NONE;
    s.reuse = settings.cache.reuse();
    s.keys_in_bytes = settings.keys_in_bytes;
    return s;
}

} // namespace mc::skyreels_v2
