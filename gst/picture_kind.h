#pragma once
// What a picture's file is by its first bytes, whatever its name says and whether or not this machine can open it.
#include <string>
#include <string_view>

namespace mc::gst {

// "a WebP picture", "a video", "a text"; empty when the bytes are of no known kind.
std::string kind_of_picture(std::string_view bytes);

// False for a JPEG, GIF or BMP picture that ends early: gdk-pixbuf fills up what is missing of these, and is silent. Of
// other kinds it gives an error itself.
bool is_whole_picture(std::string_view bytes);

} // namespace mc::gst
