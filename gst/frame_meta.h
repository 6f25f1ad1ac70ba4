// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// Writes the meta that gst/motioncachemeta.h documents.
#include "gst/generator.h"
#include "gst/motioncachemeta.h"

namespace mc::gst {

void register_frame_meta(); // once in a process: later calls do nothing
void add_frame_meta(GstBuffer* buffer, gint64 frame, const Generator::Work& work);

} // namespace mc::gst
