#include "gst/image_file.h"

#include <gdk-pixbuf/gdk-pixbuf.h>

#include <cstring>
#include <memory>

#include "engine/error.h"

namespace mc::gst {
namespace {

struct Unref {
    void operator()(GdkPixbuf* pixbuf) const { g_object_unref(pixbuf); }
};
using Pixbuf = std::unique_ptr<GdkPixbuf, Unref>;

constexpr int LARGEST_SIDE = 16384; // a file of a few bytes can claim a picture of gigabytes

} // namespace

ImageFile read_image_file(const std::string& path, const char* property) {
    const std::string named = std::string(property) + "=" + path;
    if (!g_file_test(path.c_str(), G_FILE_TEST_EXISTS))
        throw Error(MC_ERROR_NOT_FOUND,
                    "The file of " + named + " does not exist: give the path of a picture.");
    if (!g_file_test(path.c_str(), G_FILE_TEST_IS_REGULAR)) // opening a pipe would wait for its writer
        throw Error(MC_ERROR_READ, "The file of " + named + " is no regular file: give a PNG or JPEG file.");
    int width = 0, height = 0;
    if (gdk_pixbuf_get_file_info(path.c_str(), &width, &height) &&
        (width > LARGEST_SIDE || height > LARGEST_SIDE))
        throw Error(MC_ERROR_READ, "The picture of " + named + " is " + std::to_string(width) + "x" +
                                       std::to_string(height) + " pixels: scale it down to at most " +
                                       std::to_string(LARGEST_SIDE) + " a side.");
    GError* error = nullptr;
    Pixbuf raw(gdk_pixbuf_new_from_file(path.c_str(), &error));
    if (!raw) {
        std::string reason = error ? error->message : "";
        g_clear_error(&error);
        throw Error(MC_ERROR_READ,
                    "The file of " + named + " is not a picture that can be read: give a PNG or JPEG file.",
                    reason);
    }
    Pixbuf upright(gdk_pixbuf_apply_embedded_orientation(raw.get()));

    ImageFile image;
    image.width = gdk_pixbuf_get_width(upright.get());
    image.height = gdk_pixbuf_get_height(upright.get());
    image.rgb.resize(size_t(3) * image.width * image.height);
    const int channels = gdk_pixbuf_get_n_channels(upright.get());
    const guint8* pixels = gdk_pixbuf_read_pixels(upright.get());
    const size_t stride = gdk_pixbuf_get_rowstride(upright.get());
    uint8_t* out = image.rgb.data();
    for (int y = 0; y < image.height; y++)
        for (int x = 0; x < image.width; x++, out += 3)
            std::memcpy(out, pixels + y * stride + x * channels, 3);
    return image;
}

} // namespace mc::gst
