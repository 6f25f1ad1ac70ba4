#pragma once
// A picture file as 8-bit RGB, by gdk-pixbuf: upright as its EXIF data say, over black where it is transparent. The
// colours under what is wholly transparent, which programs leave there by chance, change nothing.
#include <cstdint>
#include <string>
#include <vector>

namespace mc::gst {

struct ImageFile {
    int width = 0, height = 0;
    std::vector<uint8_t> rgb; // [height, width, 3]
};

// `property` names what held the path, for the message. Throws mc::Error: MC_ERROR_NOT_FOUND, MC_ERROR_READ.
ImageFile read_image_file(const std::string& path, const char* property);

} // namespace mc::gst
