// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// What a kind of device brings of this program's kernels. Each is asked of the device in the calling thread's current
// stream, takes addresses of the device, and throws what the device's library throws.
#include "kernels/rows/rows.h"

namespace mc::kernels {

// kernels::picture_to_rgb, picture_to_i420 or picture_to_nv12: the same bytes.
struct PictureTo {
    enum Format { I420, NV12, RGB } format;
    Picture from;
    uint8_t* planes[3];
    size_t strides[3];
};

struct Launchers {
    rows::Launchers rows;
    void (*picture)(const PictureTo&);
};

} // namespace mc::kernels
