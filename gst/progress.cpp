// SPDX-License-Identifier: LGPL-2.1-or-later
#include "gst/progress.h"

#include <algorithm>

namespace mc::gst {

namespace {
constexpr std::chrono::milliseconds BEAT{250}; // what a line on a terminal can be read at
}

Remaining remaining_of(const McStats& s) {
    if (s.forwards_total <= 0) return {-1, -1};
    const double fraction = std::min(1.0, double(s.forwards) / double(s.forwards_total));
    if (s.forwards == 0) return {fraction, -1};
    const double spent = s.seconds_transformer + s.seconds_cache + s.seconds_schedule + s.seconds_vae;
    return {fraction, spent * (1 - fraction) / fraction};
}

GstStructure* progress_of(const McStats& s) {
    const Remaining left = remaining_of(s);
    return gst_structure_new("motioncache-progress", "chunk", G_TYPE_INT64, gint64(s.chunks), "chunks",
                             G_TYPE_INT64, gint64(s.chunks_total), "step", G_TYPE_INT, s.step, "steps",
                             G_TYPE_INT, s.steps, "fraction", G_TYPE_DOUBLE, left.fraction, "seconds-left",
                             G_TYPE_DOUBLE, left.seconds, nullptr);
}

bool Pulse::due() {
    const auto now = std::chrono::steady_clock::now();
    if (now - last_ < BEAT) return false;
    last_ = now;
    return true;
}

} // namespace mc::gst
