// SPDX-License-Identifier: LGPL-2.1-or-later
#include "gst/image_file.h"

#include <gdk-pixbuf/gdk-pixbuf.h>
#include <glib/gstdio.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <string_view>

#include "engine/error.h"
#include "gst/picture_kind.h"

namespace mc::gst {
namespace {

struct Unref {
    void operator()(GdkPixbuf* pixbuf) const { g_object_unref(pixbuf); }
};
using Pixbuf = std::unique_ptr<GdkPixbuf, Unref>;

constexpr int LARGEST_SIDE = 16384; // a file of a few bytes can claim a picture of gigabytes

constexpr size_t LARGEST_FILE = size_t(512) << 20;

struct Contents {
    gchar* bytes = nullptr;
    gsize size = 0;
    ~Contents() { g_free(bytes); }
    std::string_view view() const { return {bytes, size}; }
};

void read_contents(const std::string& path, const std::string& named, Contents& contents) {
    GStatBuf status;
    if (g_stat(path.c_str(), &status) != 0 && (errno == ENOENT || errno == ENOTDIR))
        throw Error(MC_ERROR_NOT_FOUND, named + " does not exist: give the path of a picture.");
    if (!g_file_test(path.c_str(), G_FILE_TEST_IS_REGULAR)) // opening a pipe would wait for its writer
        throw Error(MC_ERROR_READ, named + " is not a regular file: give a PNG or JPEG file.");
    if (size_t(status.st_size) > LARGEST_FILE)
        throw Error(MC_ERROR_READ, named + " has " + std::to_string(status.st_size >> 20) +
                                       " MiB: give a PNG or JPEG file of at most " +
                                       std::to_string(LARGEST_FILE >> 20) + " MiB.");
    GError* error = nullptr;
    if (!g_file_get_contents(path.c_str(), &contents.bytes, &contents.size, &error)) {
        std::string reason = error->message;
        g_clear_error(&error);
        throw Error(MC_ERROR_READ, named + " cannot be read: check its permissions and the disk it lies on.",
                    reason);
    }
    if (contents.size == 0) throw Error(MC_ERROR_READ, named + " is empty: give a PNG or JPEG file.");
}

// `opened`: gdk-pixbuf has a loader for this kind.
Error unreadable(const std::string& named, const std::string& kind, bool opened, const std::string& reason) {
    const bool picture = kind.ends_with(" picture") || kind.ends_with(" drawing") || kind.ends_with(" icon");
    std::string fault;
    if (kind.empty())
        fault = "is not a picture that can be read: give a PNG or JPEG file.";
    else if (!picture)
        fault = "is " + kind + ", not a picture: give a PNG or JPEG file.";
    else if (opened)
        fault = "is " + kind + " that is damaged or cut off: copy or download it again.";
    else
        fault = "is " + kind + ", which cannot be opened here: convert it to PNG or JPEG.";
    return Error(MC_ERROR_READ, named + " " + fault, reason);
}

// Composites over black. Throws when every pixel is fully transparent.
std::vector<uint8_t> over_black(const GdkPixbuf* pixbuf, int width, int height, const std::string& named) {
    std::vector<uint8_t> rgb(size_t(3) * width * height);
    const int channels = gdk_pixbuf_get_n_channels(pixbuf);
    const bool transparent = gdk_pixbuf_get_has_alpha(pixbuf);
    const guint8* pixels = gdk_pixbuf_read_pixels(pixbuf);
    const size_t stride = gdk_pixbuf_get_rowstride(pixbuf);
    uint8_t* out = rgb.data();
    unsigned most = transparent ? 0 : 255;
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++, out += 3) {
            const guint8* pixel = pixels + y * stride + size_t(x) * channels;
            const unsigned alpha = transparent ? pixel[3] : 255;
            most = std::max(most, alpha);
            for (int c = 0; c < 3; c++) out[c] = uint8_t((pixel[c] * alpha + 127) / 255);
        }
    if (most == 0)
        throw Error(MC_ERROR_READ, named + " is fully transparent: give one in which something can be seen.");
    return rgb;
}

} // namespace

ImageFile read_image_file(const std::string& path, const char* property) {
    const std::string named = std::string(property) + "=" + path;
    Contents contents;
    read_contents(path, named, contents);
    const std::string kind = kind_of_picture(contents.view());
    int width = 0, height = 0;
    if (gdk_pixbuf_get_file_info(path.c_str(), &width, &height) &&
        (width > LARGEST_SIDE || height > LARGEST_SIDE))
        throw Error(MC_ERROR_READ, named + " is " + std::to_string(width) + "x" + std::to_string(height) +
                                       " pixels: scale it down to at most " + std::to_string(LARGEST_SIDE) +
                                       " per side.");
    GError* error = nullptr;
    Pixbuf raw(gdk_pixbuf_new_from_file(path.c_str(), &error));
    const std::string reason = error ? error->message : "";
    const bool opened = !g_error_matches(error, GDK_PIXBUF_ERROR, GDK_PIXBUF_ERROR_UNKNOWN_TYPE);
    g_clear_error(&error);
    if (!raw || !is_whole_picture(contents.view())) throw unreadable(named, kind, opened, reason);
    Pixbuf upright(gdk_pixbuf_apply_embedded_orientation(raw.get()));

    ImageFile image;
    image.width = gdk_pixbuf_get_width(upright.get());
    image.height = gdk_pixbuf_get_height(upright.get());
    image.rgb = over_black(upright.get(), image.width, image.height, named);
    return image;
}

} // namespace mc::gst
