// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// A request of SkyReels-V2 from its prompt to frames: windows that are sampled row by row and decoded chunk by chunk.
#include <memory>

#include "engine/families/skyreels_v2/model.h"

namespace mc::skyreels_v2 {

// The model must outlive it.
std::unique_ptr<session::Video> begin_video(const Model& model, session::Request request);

} // namespace mc::skyreels_v2
