// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// What a golden case or a test of SkyReels-V2 gives beside the request.
#include "engine/error.h"
#include "engine/families/skyreels_v2/time_grid.h"
#include "engine/session/request.h"

namespace mc::skyreels_v2 {

struct Inputs final : session::FamilyInputs {
    Grid grid = Grid::OFFICIAL;
    // Of a prefix that is noised, instead of the seed's: [C, prefix, h, w] float32.
    std::function<at::Tensor(int window, int row, at::IntArrayRef shape)> prefix_noise;
};

inline const Inputs& inputs_of(const session::Request& request) {
    static const Inputs none;
    if (!request.family_inputs) return none;
    const auto* inputs = dynamic_cast<const Inputs*>(request.family_inputs.get());
    if (!inputs)
        throw Error(MC_ERROR_INTERNAL,
                    "The request has inputs of another family than SkyReels-V2; please report this.");
    return *inputs;
}

} // namespace mc::skyreels_v2
