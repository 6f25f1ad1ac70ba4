// SPDX-License-Identifier: LGPL-2.1-or-later
#include "engine/sampler/image.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "engine/error.h"

namespace mc::sampler {
namespace {

std::string size_text(int width, int height) {
    return std::to_string(width) + " x " + std::to_string(height);
}

void check(const Image& image, int width, int height) {
    if (image.width < 1 || image.height < 1 ||
        image.rgb.size() != size_t(image.width) * size_t(image.height) * 3)
        throw Error(MC_ERROR_SETTINGS, "The image has " + std::to_string(image.rgb.size()) +
                                           " bytes, which is no " + size_text(image.width, image.height) +
                                           " RGB picture; give one with 3 bytes per pixel.");
    if (width < 1 || height < 1)
        throw Error(MC_ERROR_SETTINGS,
                    "An image cannot be made " + size_text(width, height) + " pixels; give a size above 0.");
}

// The taps of one output sample: weights of `count` input samples from `first` on, in 22-bit fixed point.
// With 8 bits of sample that leaves two bits for the overshoot of the cubic and the sign.
constexpr int FRACTION_BITS = 32 - 8 - 2;
struct Taps {
    int first;
    std::vector<int32_t> weights;
};

double cubic(double x) {
    constexpr double a = -0.5;
    x = std::fabs(x);
    if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
    if (x < 2) return (((x - 5) * x + 8) * x - 4) * a;
    return 0;
}

std::vector<Taps> make_taps(int from, int to) {
    const double scale = double(from) / to;
    const double widen = std::max(scale, 1.0);
    const double reach = 2 * widen;
    std::vector<Taps> result(to);
    std::vector<double> weights;
    for (int i = 0; i < to; i++) {
        const double centre = (i + 0.5) * scale;
        const int first = std::max(int(centre - reach + 0.5), 0);
        const int last = std::min(int(centre + reach + 0.5), from);
        weights.clear();
        double sum = 0;
        for (int k = first; k < last; k++) {
            weights.push_back(cubic((k - centre + 0.5) * (1 / widen)));
            sum += weights.back();
        }
        result[i].first = first;
        for (double weight : weights) {
            const double fixed = weight / sum * (1 << FRACTION_BITS);
            result[i].weights.push_back(int32_t(fixed < 0 ? fixed - 0.5 : fixed + 0.5));
        }
    }
    return result;
}

// One output sample: `stride` bytes lie between neighbouring input samples.
uint8_t apply(const Taps& taps, const uint8_t* samples, size_t stride) {
    int32_t sum = 1 << (FRACTION_BITS - 1);
    for (size_t k = 0; k < taps.weights.size(); k++) sum += taps.weights[k] * samples[k * stride];
    return uint8_t(std::clamp(sum >> FRACTION_BITS, 0, 255));
}

} // namespace

Image crop_to_aspect(const Image& image, int width, int height) {
    check(image, width, height);
    if (image.width == width && image.height == height) return image;
    int w = image.width, h = image.height;
    // The quotients in double and cut towards 0, as the reference has them.
    if (double(h) / w > double(height) / width)
        h = int(double(int64_t(w) * height) / width);
    else
        w = int(double(int64_t(h) * width) / height);
    // nearbyint rounds half to even
    const int left = int(std::nearbyint((image.width - w) / 2.0));
    const int right = int(std::nearbyint((image.width + w) / 2.0));
    const int top = int(std::nearbyint((image.height - h) / 2.0));
    const int bottom = int(std::nearbyint((image.height + h) / 2.0));
    if (right <= left || bottom <= top)
        throw Error(MC_ERROR_SETTINGS, "The image of " + size_text(image.width, image.height) +
                                           " pixels is too " + (right <= left ? "flat" : "narrow") +
                                           " to be cut to the shape of " + size_text(width, height) +
                                           "; give a " + (right <= left ? "higher" : "wider") + " one.");
    Image result{right - left, bottom - top, {}};
    result.rgb.reserve(size_t(result.width) * result.height * 3);
    for (int y = top; y < bottom; y++) {
        const uint8_t* row = image.rgb.data() + (size_t(y) * image.width + left) * 3;
        result.rgb.insert(result.rgb.end(), row, row + size_t(result.width) * 3);
    }
    return result;
}

Image resize_bicubic(const Image& image, int width, int height) {
    check(image, width, height);
    // Rows first, rounded to 8 bits, then columns; a side that keeps its size is not filtered.
    Image wide = image;
    if (width != image.width) {
        const std::vector<Taps> taps = make_taps(image.width, width);
        wide = {width, image.height, std::vector<uint8_t>(size_t(width) * image.height * 3)};
        uint8_t* out = wide.rgb.data();
        for (int y = 0; y < image.height; y++)
            for (int x = 0; x < width; x++)
                for (int c = 0; c < 3; c++)
                    *out++ = apply(taps[x], &image.rgb[(size_t(y) * image.width + taps[x].first) * 3 + c], 3);
    }
    if (height == image.height) return wide;
    const std::vector<Taps> taps = make_taps(image.height, height);
    const size_t row = size_t(width) * 3;
    Image result{width, height, std::vector<uint8_t>(row * height)};
    for (int y = 0; y < height; y++)
        for (size_t i = 0; i < row; i++)
            result.rgb[y * row + i] = apply(taps[y], &wide.rgb[taps[y].first * row + i], row);
    return result;
}

std::vector<float> image_to_pixels(const Image& image, int width, int height) {
    const Image fitted = resize_bicubic(crop_to_aspect(image, width, height), width, height);
    const size_t plane = size_t(width) * height;
    std::vector<float> pixels(3 * plane);
    for (size_t i = 0; i < plane; i++)
        for (size_t c = 0; c < 3; c++) pixels[c * plane + i] = fitted.rgb[i * 3 + c] / 127.5f - 1;
    return pixels;
}

} // namespace mc::sampler
