// SPDX-License-Identifier: LGPL-2.1-or-later
#include "gst/picture_kind.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>

namespace mc::gst {
namespace {

using namespace std::string_view_literals;

struct Magic {
    size_t at;
    std::string_view bytes;
    const char* kind;
};
constexpr Magic MAGICS[] = {
    {0, "\x89PNG\r\n\x1a\n"sv, "a PNG picture"},
    {0, "\xff\xd8\xff"sv, "a JPEG picture"},
    {0, "GIF8"sv, "a GIF picture"},
    {0, "BM"sv, "a BMP picture"},
    {0, "II*\0"sv, "a TIFF picture"},
    {0, "MM\0*"sv, "a TIFF picture"},
    {8, "WEBP"sv, "a WebP picture"}, // after RIFF and a size
    {0, "\xff\x0a"sv, "a JPEG XL picture"},
    {4, "JXL \r\n\x87\n"sv, "a JPEG XL picture"},
    {4, "jP  \r\n\x87\n"sv, "a JPEG 2000 picture"},
    {0, "8BPS"sv, "a Photoshop picture"},
    {0, "v/1\x01"sv, "an OpenEXR picture"},
    {0, "#?RADIANCE"sv, "a Radiance HDR picture"},
    {0, "qoif"sv, "a QOI picture"},
    {0, "DDS "sv, "a DDS picture"},
    {0, "gimp xcf"sv, "a GIMP picture"},
    {0, "FUJIFILMCCD-RAW"sv, "a camera's raw picture"},
    {0, "\0\0\1\0"sv, "a Windows icon"},
    {0, "%PDF"sv, "a PDF document"},
    {0, "%!PS"sv, "a PostScript document"},
    {0, "\x1a\x45\xdf\xa3"sv, "a Matroska or WebM video"},
    {8, "AVI "sv, "an AVI video"},
    {0, "PK\x03\x04"sv, "a zip archive"},
    {0, "\x1f\x8b"sv, "compressed with gzip"},
    {0, "version https://git-lfs"sv, "a Git LFS pointer"},
};

// The first box of an ISO base media file names its brand.
constexpr Magic BRANDS[] = {
    {8, "avif"sv, "an AVIF picture"},        {8, "avis"sv, "an AVIF picture"},
    {8, "heic"sv, "a HEIC picture"},         {8, "heix"sv, "a HEIC picture"},
    {8, "hevc"sv, "a HEIC picture"},         {8, "hevx"sv, "a HEIC picture"},
    {8, "heim"sv, "a HEIC picture"},         {8, "heis"sv, "a HEIC picture"},
    {8, "crx "sv, "a camera's raw picture"},
};

bool has(std::string_view bytes, size_t at, std::string_view magic) {
    return bytes.size() > at && bytes.compare(at, magic.size(), magic) == 0;
}

std::string kind_of_iso_media(std::string_view bytes) {
    for (const Magic& brand : BRANDS)
        if (has(bytes, brand.at, brand.bytes)) return brand.kind;
    // "mif1" and "msf1" leave it to the list of compatible brands.
    if (has(bytes, 8, "mif1") || has(bytes, 8, "msf1")) {
        const std::string_view list = bytes.substr(0, 64);
        return list.find("avif") != list.npos  ? "an AVIF picture"
               : list.find("hei") != list.npos ? "a HEIC picture"
                                               : "a HEIF picture";
    }
    return "an MP4 or QuickTime video";
}

bool is_text(std::string_view bytes) {
    return std::none_of(bytes.begin(), bytes.end(),
                        [](char c) { return uint8_t(c) < ' ' && c != '\n' && c != '\r' && c != '\t'; });
}

uint8_t byte(std::string_view bytes, size_t at) {
    return at < bytes.size() ? uint8_t(bytes[at]) : 0;
}
uint32_t little_endian(std::string_view bytes, size_t at) {
    uint32_t value = 0;
    for (size_t i = 4; i--;) value = value << 8 | byte(bytes, at + i);
    return value;
}

// Looks for its end marker. libjpeg fills what is missing with grey and only warns.
bool is_whole_jpeg(std::string_view bytes) {
    constexpr uint8_t END = 0xd9, RESTART_0 = 0xd0, RESTART_7 = 0xd7, TEM = 0x01;
    size_t at = 2; // after the start marker
    while (at + 1 < bytes.size()) {
        if (byte(bytes, at) != 0xff) { // in a scan's data, or junk, which libjpeg passes over
            at = std::min(bytes.find('\xff', at), bytes.size());
            continue;
        }
        const uint8_t mark = byte(bytes, at + 1);
        if (mark == END) return true;
        if (mark == 0xff) { // a filler
            at++;
        } else if (mark == 0 || mark == TEM || (mark >= RESTART_0 && mark <= RESTART_7)) {
            at += 2;
        } else { // a segment with its length; the data of a scan follow its header
            if (at + 3 >= bytes.size()) return false;
            at += 2 + (size_t(byte(bytes, at + 2)) << 8 | byte(bytes, at + 3));
        }
    }
    return false;
}

// Checks the first picture, the one that is read.
bool is_whole_gif(std::string_view bytes) {
    constexpr uint8_t EXTENSION = 0x21, IMAGE = 0x2c;
    constexpr size_t HEADER = 13, DESCRIPTOR = 10;
    auto colours = [&](size_t flags) -> size_t { // bytes of a table
        return byte(bytes, flags) & 0x80 ? size_t(6) << (byte(bytes, flags) & 7) : 0;
    };
    size_t at = HEADER + colours(10);
    while (at < bytes.size()) {
        const uint8_t block = byte(bytes, at);
        if (block == EXTENSION)
            at += 2;
        else if (block == IMAGE)
            at += DESCRIPTOR + colours(at + 9) + 1; // and the size of a code
        else
            return false;
        while (byte(bytes, at) != 0) at += 1 + size_t(byte(bytes, at)); // pieces of data, to one of no bytes
        if (at >= bytes.size()) return false;
        if (block == IMAGE) return true;
        at++;
    }
    return false;
}

// Checks uncompressed ones only.
bool is_whole_bmp(std::string_view bytes) {
    constexpr uint32_t CORE_HEADER = 12, RLE8 = 1, RLE4 = 2;
    const uint32_t header = little_endian(bytes, 14), compression = little_endian(bytes, 30);
    if (header == CORE_HEADER || compression == RLE8 || compression == RLE4) return true;
    const int64_t width = int32_t(little_endian(bytes, 18)), height = int32_t(little_endian(bytes, 22));
    const int64_t row = (std::abs(width) * (little_endian(bytes, 28) & 0xffff) + 31) / 32 * 4;
    return int64_t(bytes.size()) - little_endian(bytes, 10) >= row * std::abs(height);
}

} // namespace

std::string kind_of_picture(std::string_view bytes) {
    if (has(bytes, 4, "ftyp")) return kind_of_iso_media(bytes);
    for (const Magic& magic : MAGICS)
        if (has(bytes, magic.at, magic.bytes)) return magic.kind;
    const std::string_view start = bytes.substr(0, 1024);
    if (start.empty() || !is_text(start)) return "";
    if (start.find("<svg") != start.npos) return "an SVG drawing";
    if (start.find("<html") != start.npos || start.find("<!DOCTYPE html") != start.npos ||
        start.find("<!doctype html") != start.npos)
        return "a web page";
    return "a text";
}

bool is_whole_picture(std::string_view bytes) {
    const std::string kind = kind_of_picture(bytes);
    if (kind == "a JPEG picture") return is_whole_jpeg(bytes);
    if (kind == "a GIF picture") return is_whole_gif(bytes);
    if (kind == "a BMP picture") return is_whole_bmp(bytes);
    return true;
}

} // namespace mc::gst
