// SPDX-License-Identifier: LGPL-2.1-or-later
#include "gst/heat_map.h"

#include <algorithm>
#include <array>
#include <cmath>

namespace mc::gst {
namespace {

constexpr int GLYPH_WIDTH = 5, GLYPH_HEIGHT = 7, ADVANCE = GLYPH_WIDTH + 1;
constexpr int SMALL = 240; // lines of a picture whose letters are one pixel thick; twice as many, two pixels

// The letters that legends use. A row of a glyph is five bits, the leftmost the highest.
struct Glyph {
    char letter;
    std::array<uint8_t, GLYPH_HEIGHT> rows;
};
constexpr Glyph GLYPHS[] = {
    {'0', {0x0e, 0x11, 0x13, 0x15, 0x19, 0x11, 0x0e}}, {'1', {0x04, 0x0c, 0x04, 0x04, 0x04, 0x04, 0x0e}},
    {'2', {0x0e, 0x11, 0x01, 0x06, 0x08, 0x10, 0x1f}}, {'3', {0x0e, 0x11, 0x01, 0x06, 0x01, 0x11, 0x0e}},
    {'4', {0x02, 0x06, 0x0a, 0x12, 0x1f, 0x02, 0x02}}, {'5', {0x1f, 0x10, 0x1e, 0x01, 0x01, 0x11, 0x0e}},
    {'6', {0x0e, 0x10, 0x10, 0x1e, 0x11, 0x11, 0x0e}}, {'7', {0x1f, 0x01, 0x02, 0x04, 0x04, 0x08, 0x08}},
    {'8', {0x0e, 0x11, 0x11, 0x0e, 0x11, 0x11, 0x0e}}, {'9', {0x0e, 0x11, 0x11, 0x0f, 0x01, 0x01, 0x0e}},
    {'%', {0x18, 0x19, 0x02, 0x04, 0x08, 0x13, 0x03}}, {'c', {0x00, 0x00, 0x0e, 0x10, 0x10, 0x10, 0x0e}},
    {'d', {0x01, 0x01, 0x0f, 0x11, 0x11, 0x11, 0x0f}}, {'e', {0x00, 0x00, 0x0e, 0x11, 0x1f, 0x10, 0x0e}},
    {'h', {0x10, 0x10, 0x1e, 0x11, 0x11, 0x11, 0x11}}, {'i', {0x04, 0x00, 0x0c, 0x04, 0x04, 0x04, 0x0e}},
    {'k', {0x10, 0x10, 0x12, 0x14, 0x18, 0x14, 0x12}}, {'l', {0x0c, 0x04, 0x04, 0x04, 0x04, 0x04, 0x0e}},
    {'m', {0x00, 0x00, 0x1a, 0x15, 0x15, 0x15, 0x15}}, {'n', {0x00, 0x00, 0x1e, 0x11, 0x11, 0x11, 0x11}},
    {'o', {0x00, 0x00, 0x0e, 0x11, 0x11, 0x11, 0x0e}}, {'p', {0x00, 0x00, 0x1e, 0x11, 0x1e, 0x10, 0x10}},
    {'r', {0x00, 0x00, 0x16, 0x19, 0x10, 0x10, 0x10}}, {'s', {0x00, 0x00, 0x0f, 0x10, 0x0e, 0x01, 0x1e}},
    {'t', {0x08, 0x08, 0x1c, 0x08, 0x08, 0x09, 0x06}}, {'u', {0x00, 0x00, 0x11, 0x11, 0x11, 0x13, 0x0d}},
    {'v', {0x00, 0x00, 0x11, 0x11, 0x11, 0x0a, 0x04}}, {'a', {0x00, 0x00, 0x0e, 0x01, 0x0f, 0x11, 0x0f}},
    {'g', {0x00, 0x00, 0x0f, 0x11, 0x0f, 0x01, 0x0e}},
};

constexpr uint32_t SHADE = 0xb0000000, INK = 0xffffffff;

uint32_t word(Colour c, uint8_t alpha) {
    return uint32_t(alpha) << 24 | uint32_t(c.r) << 16 | uint32_t(c.g) << 8 | c.b;
}

void fill(Drawing& d, int left, int top, int width, int height, uint32_t colour) {
    for (int y = std::max(0, top); y < std::min(d.height, top + height); y++)
        for (int x = std::max(0, left); x < std::min(d.width, left + width); x++)
            d.pixels[size_t(y) * size_t(d.width) + size_t(x)] = colour;
}

void write(Drawing& d, int left, int top, int thick, const std::string& text) {
    for (const char letter : text) {
        for (const Glyph& glyph : GLYPHS) {
            if (glyph.letter != letter) continue;
            for (int y = 0; y < GLYPH_HEIGHT; y++)
                for (int x = 0; x < GLYPH_WIDTH; x++)
                    if (glyph.rows[size_t(y)] >> (GLYPH_WIDTH - 1 - x) & 1)
                        fill(d, left + x * thick, top + y * thick, thick, thick, INK);
        }
        left += ADVANCE * thick;
    }
}

int width_of(const std::string& text) {
    return int(text.size()) * ADVANCE - 1;
}

} // namespace

Colour heat(double value) {
    static constexpr Colour STOPS[] = {{10, 10, 90}, {90, 20, 140}, {200, 40, 80}, {250, 140, 20}, {255, 250, 150}};
    constexpr int LAST = int(std::size(STOPS)) - 1;
    const double at = std::clamp(value, 0.0, 1.0) * LAST; // NaN does not come this far: see draw_map
    const int below = std::min(LAST - 1, int(at));
    const double share = at - below;
    const auto blend = [&](uint8_t a, uint8_t b) { return uint8_t(std::lround(a + (b - a) * share)); };
    const Colour &a = STOPS[below], &b = STOPS[below + 1];
    return {blend(a.r, b.r), blend(a.g, b.g), blend(a.b, b.b)};
}

void draw_map(Drawing& d, const float* values, int columns, int rows, double opacity) {
    const auto alpha = uint8_t(std::lround(255 * std::clamp(opacity, 0.0, 1.0)));
    std::vector<uint32_t> line(size_t(d.width));
    int drawn = -1;
    for (int y = 0; y < d.height; y++) {
        const int row = int(int64_t(y) * rows / d.height);
        if (row != drawn)
            for (int x = 0; x < d.width; x++) {
                const float value = values[size_t(row) * size_t(columns) + size_t(int64_t(x) * columns / d.width)];
                line[size_t(x)] = word(heat(std::isfinite(value) ? value : 1), alpha);
            }
        drawn = row;
        std::copy(line.begin(), line.end(), d.pixels.begin() + ptrdiff_t(y) * d.width);
    }
}

void draw_legend(Drawing& d, const std::string& low, const std::string& high, const std::string& line) {
    const int thick = std::max(1, d.height / SMALL), margin = 2 * thick;
    const int bar = std::max(20, width_of(line) - width_of(low) - width_of(high) - 4);
    const int width = width_of(low) + bar + width_of(high) + 4, height = 2 * GLYPH_HEIGHT + 2;
    if ((width + 4) * thick > d.width || (height + 4) * thick > d.height) return;
    const int left = 2 * margin / 2 + margin, top = d.height - margin - height * thick - margin / 2;
    fill(d, left - margin, top - margin, width * thick + 2 * margin, height * thick + 2 * margin, SHADE);
    write(d, left, top, thick, low);
    const int from = left + (width_of(low) + 2) * thick, length = bar * thick;
    for (int x = 0; x < length; x++)
        fill(d, from + x, top, 1, GLYPH_HEIGHT * thick, word(heat(double(x) / (length - 1)), 255));
    write(d, from + length + 2 * thick, top, thick, high);
    write(d, left, top + (GLYPH_HEIGHT + 2) * thick, thick, line);
}

} // namespace mc::gst
