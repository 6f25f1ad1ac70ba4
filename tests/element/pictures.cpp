// SPDX-License-Identifier: LGPL-2.1-or-later
// Picture files of every kind, as the element reads them. No pipeline here.
#include <gdk-pixbuf/gdk-pixbuf.h>

#include <filesystem>

#include "engine/error.h"
#include "gst/image_file.h"
#include "gst/picture_kind.h"
#include "tests/check.h"
#include "tests/model/weight_writer.h"

using namespace mc;
using namespace mc::gst;
using namespace mc::test;
using namespace std::string_literals;

namespace {

std::string big_endian(uint32_t value) {
    return {char(value >> 24), char(value >> 16), char(value >> 8), char(value)};
}

std::string chunk(const std::string& type, const std::string& data) {
    uint32_t crc = ~0u;
    for (char c : type + data) {
        crc ^= uint8_t(c);
        for (int bit = 0; bit < 8; bit++) crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
    }
    return big_endian(uint32_t(data.size())) + type + data + big_endian(~crc);
}

// A PNG file; `rows` with a filter byte before each, not compressed. `more`: chunks before the data.
std::string png(int width, int height, int depth, int colour, const std::string& rows,
                const std::string& more = "") {
    uint32_t a = 1, b = 0; // Adler's checksum
    for (char c : rows) a = (a + uint8_t(c)) % 65521, b = (b + a) % 65521;
    const uint16_t size = uint16_t(rows.size()), other = uint16_t(~size);
    const std::string data = "\x78\x01\x01"s + char(size) + char(size >> 8) + char(other) + char(other >> 8) +
                             rows + big_endian(b << 16 | a);
    return "\x89PNG\r\n\x1a\n" +
           chunk("IHDR", big_endian(uint32_t(width)) + big_endian(uint32_t(height)) + char(depth) +
                             char(colour) + "\0\0\0"s) +
           more + chunk("IDAT", data) + chunk("IEND", "");
}

// A picture of gentle slopes, which JPEG keeps nearly as it is.
std::string saved(const char* type, int width = 24, int height = 16) {
    GdkPixbuf* picture = gdk_pixbuf_new(GDK_COLORSPACE_RGB, FALSE, 8, width, height);
    guint8* pixels = gdk_pixbuf_get_pixels(picture);
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++) {
            guint8* p = pixels + y * gdk_pixbuf_get_rowstride(picture) + 3 * x;
            p[0] = guint8(10 * x), p[1] = guint8(12 * y), p[2] = 77;
        }
    gchar* bytes = nullptr;
    gsize size = 0;
    CHECK(gdk_pixbuf_save_to_buffer(picture, &bytes, &size, type, nullptr, nullptr));
    g_object_unref(picture);
    std::string file(bytes, size);
    g_free(bytes);
    return file;
}

// Of 3x1 pixels: a table of four colours, an extension, and the picture in one piece of data.
const std::string GIF = "GIF89a\3\0\1\0\x81\0\0"s
                        "\1\2\3\4\5\6\7\x8\x9\xa\xb\xc"s
                        "\x21\xf9\4\0\0\0\0\0"s
                        "\x2c\0\0\0\0\3\0\1\0\0\2\2\x44\x54\0\x3b"s;

struct Folder {
    TemporaryFolder folder;
    std::string put(const std::string& bytes, const std::string& name = "picture") const {
        write_file(folder / name, bytes);
        return folder / name;
    }
    ImageFile read(const std::string& bytes) const { return read_image_file(put(bytes), "image"); }
};

std::vector<int> pixels(const ImageFile& image) {
    return {image.rgb.begin(), image.rgb.end()};
}

} // namespace

TEST(transparent_pictures_lie_over_black_whatever_they_hide) {
    const Folder folder;
    const std::string white = "\0\xff\xff\xff\xff\xc8\x64\x32\x80\xff\xff\xff\0"s,
                      green = "\0\xff\xff\xff\xff\xc8\x64\x32\x80\x00\xff\x00\0"s;
    const std::vector<int> expected{255, 255, 255, 100, 50, 25, 0, 0, 0};
    CHECK(pixels(folder.read(png(3, 1, 8, 6, white))) == expected);
    CHECK(pixels(folder.read(png(3, 1, 8, 6, green))) == expected);
    // Grey with alpha, and a palette with transparency.
    CHECK(pixels(folder.read(png(2, 1, 8, 4, "\0\xc8\xff\xc8\0"s))) ==
          (std::vector<int>{200, 200, 200, 0, 0, 0}));
    const std::string palette = chunk("PLTE", "\x0a\x14\x1e\xff\xff\xff"), tail = chunk("tRNS", "\xff\0"s);
    CHECK(pixels(folder.read(png(2, 1, 8, 3, "\0\0\1"s, palette + tail))) ==
          (std::vector<int>{10, 20, 30, 0, 0, 0}));
    // One colour as the transparent one.
    CHECK(pixels(folder.read(png(2, 1, 8, 2, "\0\1\2\3\4\5\6"s, chunk("tRNS", "\0\4\0\5\0\6"s)))) ==
          (std::vector<int>{1, 2, 3, 0, 0, 0}));
    CHECK(pixels(folder.read(png(1, 2, 16, 6,
                                 "\0\x80\0\x40\0\x20\0\xff\xff"s
                                 "\0\xff\xff\xff\xff\xff\xff\0\0"s))) ==
          (std::vector<int>{128, 64, 32, 0, 0, 0}));
}

TEST(pictures_of_which_nothing_can_be_seen) {
    const Folder folder;
    CHECK_ERROR(folder.read(png(2, 1, 8, 6, "\0\xff\xff\xff\0\1\2\3\0"s)), MC_ERROR_READ,
                "is fully transparent");
    CHECK_ERROR(folder.read(png(1, 1, 8, 4, "\0\xff\0"s)), MC_ERROR_READ, "something can be seen");
    CHECK(pixels(folder.read(png(1, 1, 8, 6, "\0\xff\xff\xff\1"s))) == (std::vector<int>{1, 1, 1}));
    CHECK(pixels(folder.read(png(1, 1, 8, 2, "\0\0\0\0"s))) ==
          (std::vector<int>{0, 0, 0})); // black is a colour
}

TEST(grey_deep_and_indexed_pictures) {
    const Folder folder;
    CHECK(pixels(folder.read(png(2, 1, 8, 0, "\0\x07\xf0"s))) == (std::vector<int>{7, 7, 7, 240, 240, 240}));
    CHECK(pixels(folder.read(png(8, 1, 1, 0, "\0\x80"s))).at(0) == 255);
    CHECK(pixels(folder.read(png(1, 1, 16, 0, "\0\x80\xff"s))) == (std::vector<int>{128, 128, 128}));
    CHECK(pixels(folder.read(png(1, 1, 16, 2, "\0\x80\0\x40\0\x20\0"s))) == (std::vector<int>{128, 64, 32}));
    CHECK(pixels(folder.read(png(2, 1, 4, 3, "\0\x10"s, chunk("PLTE", "\1\2\3\4\5\6")))) ==
          (std::vector<int>{4, 5, 6, 1, 2, 3}));
}

TEST(jpeg_pictures_are_upright) {
    const Folder folder;
    const std::string jpeg = saved("jpeg");
    const ImageFile image = folder.read(jpeg);
    CHECK_EQ(image.width, 24);
    // Orientation 6: turned by a quarter to the right when shown.
    const std::string tiff = "MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"s,
                      exif = "Exif\0\0"s + tiff,
                      segment = "\xff\xe1"s + char(0) + char(exif.size() + 2) + exif;
    const ImageFile turned = folder.read(jpeg.substr(0, 2) + segment + jpeg.substr(2));
    CHECK_EQ(turned.width, 16);
    CHECK_EQ(turned.height, 24);
    size_t wrong = 0;
    for (int y = 0; y < 16; y++)
        for (int x = 0; x < 24; x++)
            for (int c = 0; c < 3; c++)
                wrong += image.rgb[size_t(24 * y + x) * 3 + c] != turned.rgb[size_t(16 * x + 15 - y) * 3 + c];
    CHECK_EQ(wrong, size_t(0));
}

// Each kind that is saved here, cut anywhere: an error, never a part of a picture.
TEST(pictures_that_are_cut_off) {
    const Folder folder;
    for (const char* type : {"png", "jpeg", "bmp", "tiff", "gif"}) {
        const std::string good = type == "gif"s ? GIF : saved(type, 64, 48);
        CHECK_EQ(folder.read(good).width, type == "gif"s ? 3 : 64);
        const std::string damaged = "picture that is damaged or cut off";
        for (size_t at = 8; at + 1 < good.size(); at += 1 + at / 8)
            CHECK_ERROR(folder.read(good.substr(0, at)), MC_ERROR_READ, damaged);
        CHECK_ERROR(folder.read(good.substr(0, good.size() - 2)), MC_ERROR_READ, damaged);
    }
    const std::string jpeg = saved("jpeg", 64, 48);
    // As a preallocated download that ended early has it.
    CHECK_ERROR(folder.read(jpeg.substr(0, jpeg.size() / 2) + std::string(jpeg.size() / 2, '\0')),
                MC_ERROR_READ, "damaged or cut off");
    // The end mark of a preview in front, and one in a comment, are not that of the picture.
    const std::string comment = "\xff\xfe\0\x06\xff\xd9\xff\xd9"s;
    CHECK_EQ(folder.read(jpeg.substr(0, 2) + comment + jpeg.substr(2)).width, 64);
    CHECK_ERROR(folder.read(jpeg.substr(0, 2) + comment + jpeg.substr(2, jpeg.size() / 2)), MC_ERROR_READ,
                "damaged or cut off");
    // What cameras append, and fillers before a mark, are no fault.
    CHECK_EQ(folder.read(jpeg + "trailer").width, 64);
    CHECK_EQ(folder.read(jpeg.substr(0, 2) + "\xff\xff" + jpeg.substr(2)).width, 64);
}

TEST(other_kinds_are_told_by_name) {
    const Folder folder;
    CHECK_EQ(folder.read(saved("bmp")).width, 24);
    auto told = [&](const std::string& bytes, const std::string& text) {
        CHECK_EQ(kind_of_picture(bytes), text);
        // Of those that this machine's gdk-pixbuf opens, such a beginning is a damaged one.
        CHECK_ERROR(folder.read(bytes), MC_ERROR_READ, "image=" + folder.folder.path + "/picture is " + text);
    };
    auto box = [](const std::string& brands) {
        return "\0\0\0\x20"s + "ftyp" + brands + std::string(64, '\0');
    };
    told("RIFF\x24\0\0\0WEBPVP8 "s, "a WebP picture");
    told(box("avif"), "an AVIF picture");
    told(box("heic"), "a HEIC picture");
    told(box("mif1\0\0\0\0mif1heic"s), "a HEIC picture");
    told(box("mif1\0\0\0\0miafavif"s), "an AVIF picture");
    told(box("mif1"), "a HEIF picture");
    told(box("isom"), "an MP4 or QuickTime video");
    told("\xff\x0a\x01\x02", "a JPEG XL picture");
    told("\0\0\0\x0cJXL \r\n\x87\n"s, "a JPEG XL picture");
    told("\0\0\0\x0cjP  \r\n\x87\n"s, "a JPEG 2000 picture");
    told("GIF89a\1\0"s, "a GIF picture");
    told("BM\1\0\0\0"s, "a BMP picture");
    told("II*\0\1\0"s, "a TIFF picture");
    told("8BPS\0\1"s, "a Photoshop picture");
    told("v/1\x01\2\0\0\0"s, "an OpenEXR picture");
    told("qoif\0\0\0\1"s, "a QOI picture");
    told("<?xml version=\"1.0\"?>\n<svg", "an SVG drawing");
    told("%PDF-1.7\n", "a PDF document");
    told("\x1a\x45\xdf\xa3\x93", "a Matroska or WebM video");
    told("<!DOCTYPE html><title>404</title>", "a web page");
    told("a ball rolls\n", "a text");
    told("version https://git-lfs.github.com/spec/v1\n", "a Git LFS pointer");
    told("PK\x03\x04", "a zip archive");
    CHECK_ERROR(folder.read("qoif\0\0\0\1"s), MC_ERROR_READ, "convert it to PNG or JPEG");
    CHECK_ERROR(folder.read("a ball rolls\n"), MC_ERROR_READ, ", not a picture: give a PNG or JPEG file");
    CHECK_ERROR(folder.read("\1\2\3\4\5\6\7\x08\x0b"), MC_ERROR_READ, "is not a picture that can be read");
    CHECK_ERROR(folder.read(""), MC_ERROR_READ, "is empty");
    // A name says nothing.
    CHECK_EQ(read_image_file(folder.put(saved("jpeg"), "picture.png"), "image").width, 24);
    for (size_t size = 0; size < 64; size++) kind_of_picture(box("mif1\0\0\0\0miafavif"s).substr(0, size));
}

TEST(files_that_cannot_be_read) {
    const Folder folder;
    CHECK_ERROR(read_image_file(folder.folder / "none.png", "end-image"), MC_ERROR_NOT_FOUND, "end-image=");
    CHECK_ERROR(read_image_file(folder.put("x") + "/none.png", "image"), MC_ERROR_NOT_FOUND,
                "does not exist");
    CHECK_ERROR(read_image_file(folder.folder.path, "image"), MC_ERROR_READ, "is not a regular file");
    const std::string huge = folder.put("x", "huge.png");
    std::filesystem::resize_file(huge, uintmax_t(1) << 30);
    CHECK_ERROR(read_image_file(huge, "image"), MC_ERROR_READ, "has 1024 MiB");
    CHECK_ERROR(folder.read(png(20000, 1, 8, 0, std::string(20001, '\0'))), MC_ERROR_READ, "20000x1 pixels");
}

int main(int argc, char** argv) {
    return run_tests(argc, argv);
}
