// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// Pictures that are the same on every machine, for numbers that other programs have computed. record_ssim.py
// makes the same ones: whole numbers only, and no division of negative ones.
#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

namespace mc::quality::test {

using Bytes = std::vector<uint8_t>;

inline uint32_t scramble(uint32_t x) {
    x = (x ^ x >> 16) * 0x7feb352d;
    x = (x ^ x >> 15) * 0x846ca68b;
    return x ^ x >> 16;
}

// A disc before a slope, with some grain.
inline int scene(int x, int y, int c) {
    const bool disc = (x - 40) * (x - 40) + (y - 30) * (y - 30) < 500;
    const int slope = 20 + (2 + c) * x / 3 % 160 + (3 - c) * y / 2 % 60;
    return std::min(255, (disc ? 230 - 70 * c : slope) + int(scramble(x + 1000 * y + 1000000 * c) % 8));
}

// What became of it: "same", "noise" up to `amount`, brighter by "shift", "moved" to the left, "contrast"
// less than it was, "blue" gone, "other": nothing of it left.
inline int distorted(const std::string& how, int amount, int x, int y, int c) {
    const int v = scene(x, y, c);
    const uint32_t grain = scramble(7 + x + 1000 * y + 1000000 * c);
    if (how == "noise") return std::clamp(v + int(grain % (2 * amount + 1)) - amount, 0, 255);
    if (how == "shift") return std::min(v + amount, 255);
    if (how == "moved") return scene(x + amount, y, c);
    if (how == "contrast") return v * (100 - amount) / 100 + amount * 128 / 100;
    if (how == "blue") return c == 2 ? 0 : v;
    if (how == "other") return grain % 256;
    return v;
}

inline Bytes frame(int width, int height, const std::string& how = "same", int amount = 0) {
    Bytes rgb;
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++)
            for (int c = 0; c < 3; c++) rgb.push_back(distorted(how, amount, x, y, c));
    return rgb;
}

} // namespace mc::quality::test
