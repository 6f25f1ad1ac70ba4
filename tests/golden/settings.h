// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// Values of case.json and pictures, from the words of the golden format into those of the engine.
#include <ATen/core/Tensor.h>
#include <optional>

#include "engine/families/skyreels_v2/time_grid.h"
#include "engine/request/fields.h"
#include "engine/sampler/image.h"
#include "tests/golden/runner.h"

namespace mc::golden {

// "official" (also when not given), "diffusers_0_37".
skyreels_v2::Grid grid_of(const Json& settings);
// "bidirectional" (also when not given), "block_causal"; throws NotImplemented for others.
Attention attention_of(const Json& settings);
// "pixel_reencode", "latent_reuse"; empty when not given.
std::optional<LongVideo> long_video_of(const Json& settings);
// The value of a setting; empty when it is absent or null.
template <class T>
std::optional<T> setting(const Json& settings, const char* name) {
    if (!settings.contains(name) || settings[name].is_null()) return {};
    return settings[name].get<T>();
}
sampler::Image image_of(const at::Tensor& rgb); // [height, width, 3] bytes
at::Tensor tensor_of(const sampler::Image& image);

} // namespace mc::golden
