// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// Why no caps suit both sides, in a sentence for the bus: which fields clash, the nearest values that do not, and
// which element converts them.
#include <string>

#include "gst/video_caps.h"

namespace mc::gst {

// Before the first frame. `theirs`: what downstream accepts; `ours`: what the element offers; no_gpu: why
// there are no frames on a GPU, part of a sentence.
std::string clash_with_model(const GstCaps* theirs, const GstCaps* ours, const ModelSizes& sizes,
                             const std::string& no_gpu);
// Mid-stream, when size and rate are fixed.
std::string clash_with_made(const GstCaps* theirs, const GstCaps* ours, const PictureFormat& made);
// When an element accepted `caps` in its answer to a query and then refused them.
std::string refusal_of(const GstCaps* caps);

} // namespace mc::gst
