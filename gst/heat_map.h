// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// Draws a map of tokens and its legend. No GStreamer: pixels in, pixels out.
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace mc::gst {

struct Colour {
    uint8_t r, g, b;
};
// 0..1: from blue over violet and red to yellow, lighter all the way, so that it reads without colours too.
Colour heat(double value);

// Non-premultiplied, words of 0xAARRGGBB.
struct Drawing {
    Drawing(int width, int height) : width(width), height(height), pixels(size_t(width) * size_t(height)) {}
    int width, height;
    std::vector<uint32_t> pixels; // [height, width]
};

// values: [rows, columns], 0..1, stretched over the whole drawing, each token a flat tile. opacity: 0..1.
void draw_map(Drawing& drawing, const float* values, int columns, int rows, double opacity);
// A bar of the colours with what its ends mean, and a line of text below it, in the lower left corner. Draws nothing
// where the drawing is too small for it.
void draw_legend(Drawing& drawing, const std::string& low, const std::string& high, const std::string& line);

} // namespace mc::gst
