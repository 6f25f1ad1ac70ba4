// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// What a video will do with each of its windows, known before the first step and without any weight.
#include <memory>
#include <vector>

#include "engine/cancel.h"
#include "engine/families/skyreels_v2/settings.h"
#include "engine/families/skyreels_v2/time_grid.h"
#include "engine/families/skyreels_v2/window_plan.h"
#include "engine/networks/wan_dit/transformer.h"

namespace mc::skyreels_v2 {

struct Windows {
    std::vector<std::shared_ptr<const sampler::WindowPlan>>
        plans;                     // one per window; most windows share theirs
    std::vector<size_t> different; // windows whose plan is not that of the one before
    int chunks_at_once = 1;        // most of any window
    int64_t forwards = 0, chunks = 0;
};
// Throws MC_ERROR_SETTINGS for what cannot be scheduled, MC_ERROR_MEMORY for a plan too large.
Windows plan_windows(const Settings& settings, schedule::Grid grid, Cancel cancel);

int overlap_latents(const Settings& settings, size_t window); // latent frames taken over from the one before
// height, width: of the latents.
transformer::Window::Shape shape_of(const Settings& settings, const Windows& windows, size_t window,
                                    int64_t height, int64_t width);
// Of the widest window: its workspace, latents and solver state; what a video takes beside weights, VAE and text.
int64_t sampling_bytes(const Settings& settings, const Windows& windows,
                       const model::TransformerConfig& transformer, Precision precision, int64_t height,
                       int64_t width);

} // namespace mc::skyreels_v2
