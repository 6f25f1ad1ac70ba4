// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// Reads a picture file as 8-bit RGB, with gdk-pixbuf: rotated upright by its EXIF data, composited over black. The
// arbitrary colours that programs leave under fully transparent pixels therefore have no effect.
#include <cstdint>
#include <string>
#include <vector>

namespace mc::gst {

struct ImageFile {
    int width = 0, height = 0;
    std::vector<uint8_t> rgb; // [height, width, 3]
};

// `property`: name of the property that holds the path, for the error message. Throws
// mc::Error: MC_ERROR_NOT_FOUND, MC_ERROR_READ.
ImageFile read_image_file(const std::string& path, const char* property);

} // namespace mc::gst
