// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// What a video will do with each of its windows, known before the first step and without any weight. However many there
// are, three plans at most are made: of the first window, of those in the middle, and of the last.
#include <memory>
#include <vector>

#include "engine/cancel.h"
#include "engine/families/skyreels_v2/settings.h"
#include "engine/families/skyreels_v2/time_grid.h"
#include "engine/families/skyreels_v2/window_plan.h"
#include "engine/networks/wan_dit/transformer.h"

namespace mc::skyreels_v2 {

struct Windows {
    size_t count = 0; // of windows; SIZE_MAX where there is no end
    std::shared_ptr<const WindowPlan> first, middle, last; // null where there is no such window
    std::vector<size_t> different; // windows whose plan is not that of the one before
    int chunks_at_once = 1;        // most of any window
    int64_t forwards = 0, chunks = 0; // of all windows; ENDLESS
    const WindowPlan& plan(size_t window) const {
        return *(window == 0 ? first : window + 1 == count ? last : middle);
    }
};
// Throws MC_ERROR_SETTINGS for what cannot be scheduled, MC_ERROR_MEMORY for a plan too large.
Windows plan_windows(const VideoSettings& settings, Grid grid, Cancel cancel);

// Latent frames taken over from the window before.
int overlap_latents(const VideoSettings& settings, size_t window);
// height, width: of the latents.
wan_dit::Window::Shape shape_of(const VideoSettings& settings, const Windows& windows, size_t window,
                                int64_t height, int64_t width);

} // namespace mc::skyreels_v2
