// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// What is asked for, of any family; each uses those of these settings that it has.
#include <ATen/core/Tensor.h>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "engine/cache/policy.h"
#include "engine/cancel.h"
#include "engine/request/fields.h"
#include "engine/sampler/image.h"
#include "engine/sampler/turn.h"
#include "engine/request/changes.h"
#include "engine/trace.h"

namespace mc::session {

// What golden cases and tests of one family give beside a request: a family that has any derives it.
struct FamilyInputs {
    virtual ~FamilyInputs() = default;
};

// What is left unset takes the model's default. Checked and completed when a session is made.
struct Request : Fields {
    std::optional<sampler::Image> image, end_image;
    std::optional<sampler::Clip> prefix_video; // its last frames, as many as the family looks at, are enough
    Cancel cancel;
    std::shared_ptr<Changes> changes; // while the video is made; or null
    // Called with the share that is read of a text encoder which is read while the video is made.
    std::function<void(double share)> reading;

    // For golden cases and comparisons: a policy with settings that no field of the request gives.
    std::optional<cache::AnySettings> cache_settings;
    // Likewise noise from outside instead of the seed's, [C, T, h, w] float32: of a window, or of a chunk where a
    // family draws by chunks.
    std::function<at::Tensor(int window, at::IntArrayRef shape)> initial_noise;
    std::shared_ptr<const FamilyInputs> family_inputs; // what its family alone can be given; null: nothing
    Trace trace; // its names are the family's, in its video.h
    // Every decision of the cache policy, and every turn of a chunk in attention kv.
    cache::Observer decisions;
    std::function<void(int window, const sampler::Turn&)> turns;
};

// mc::check_fields, of pictures and clips as well, which a request holds as pixels: what each family begins with when
// it completes a request.
void check_fields(const Request& request, ModelFamily family);

} // namespace mc::session
