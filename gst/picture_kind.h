// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// The kind of a picture file by its first bytes, regardless of its name and of whether this machine can open it.
#include <string>
#include <string_view>

namespace mc::gst {

// "a WebP picture", "a video", "a text"; empty when the bytes are of no known kind.
std::string kind_of_picture(std::string_view bytes);

// False for a truncated JPEG, GIF or BMP picture: gdk-pixbuf silently fills in what is missing of these. For other
// kinds it reports an error itself.
bool is_whole_picture(std::string_view bytes);

} // namespace mc::gst
