// SPDX-License-Identifier: LGPL-2.1-or-later
#include "tools/quality/quality.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <stdexcept>
#include <string>

#include "tools/quality/ssim.h"

namespace mc::quality {

namespace {

using Plane = std::vector<double>;

// Red, green, blue and luma of a frame, in memory that the next frame uses again.
struct Planes {
    std::array<Plane, 4> plane;
    void read(std::span<const uint8_t> rgb) {
        for (Plane& p : plane) p.resize(rgb.size() / 3);
        auto& [red, green, blue, luma] = plane;
        for (size_t i = 0; i < luma.size(); i++) {
            red[i] = rgb[3 * i];
            green[i] = rgb[3 * i + 1];
            blue[i] = rgb[3 * i + 2];
            luma[i] = 0.2126 * red[i] + 0.7152 * green[i] + 0.0722 * blue[i];
        }
    }
};

double squared_error(const Plane& x, const Plane& y) { // mean over the plane
    double sum = 0;
    for (size_t i = 0; i < x.size(); i++) sum += (x[i] - y[i]) * (x[i] - y[i]);
    return sum / double(x.size());
}

double psnr(double squared_error) {
    return 10 * std::log10(255. * 255. / squared_error); // of 0: infinite
}

std::string text(const Video& v) {
    return std::to_string(v.width) + " x " + std::to_string(v.height) + " in " +
           std::to_string(v.rgb.size()) + " bytes";
}

// How many frames both have, or an error.
size_t count(const Video& reference, const Video& video) {
    if (reference.width != video.width || reference.height != video.height ||
        reference.rgb.size() != video.rgb.size())
        throw std::invalid_argument("The videos differ in size: " + text(reference) + " and " + text(video) +
                                    ".");
    if (video.width < SSIM_WINDOW || video.height < SSIM_WINDOW)
        throw std::invalid_argument(
            "Frames need 11 pixels in width and height, for the window of SSIM: " + text(video) + ".");
    const size_t frames = video.rgb.size() / 3 / video.width / video.height;
    if (!frames || frames * video.width * video.height * 3 != video.rgb.size())
        throw std::invalid_argument("Not one or more whole frames: " + text(video) + ".");
    return frames;
}

FrameScores compare_planes(const Planes& x, const Planes& y, size_t width, size_t height) {
    std::array<double, 4> error, similar;
    for (size_t i = 0; i < 4; i++) {
        error[i] = squared_error(x.plane[i], y.plane[i]);
        similar[i] = ssim(x.plane[i].data(), y.plane[i].data(), width, height);
    }
    return {{psnr((error[0] + error[1] + error[2]) / 3), (similar[0] + similar[1] + similar[2]) / 3},
            {psnr(error[3]), similar[3]}};
}

} // namespace

FrameScores mean(std::span<const FrameScores> frames) {
    if (frames.empty()) throw std::invalid_argument("There is no mean of no frames.");
    FrameScores sum;
    for (const FrameScores& f : frames) {
        sum.rgb.psnr += std::min(f.rgb.psnr, PSNR_CAP);
        sum.rgb.ssim += f.rgb.ssim;
        sum.luma.psnr += std::min(f.luma.psnr, PSNR_CAP);
        sum.luma.ssim += f.luma.ssim;
    }
    for (double* value : {&sum.rgb.psnr, &sum.rgb.ssim, &sum.luma.psnr, &sum.luma.ssim})
        *value /= double(frames.size());
    return sum;
}

Comparison compare(const Video& reference, const Video& video) {
    Comparison result;
    result.frames.resize(count(reference, video));
    const size_t bytes = video.rgb.size() / result.frames.size();
    Planes x, y;
    for (size_t i = 0; i < result.frames.size(); i++) {
        x.read(reference.rgb.subspan(i * bytes, bytes));
        y.read(video.rgb.subspan(i * bytes, bytes));
        result.frames[i] = compare_planes(x, y, video.width, video.height);
        if (result.frames[i].rgb.psnr < result.frames[result.worst].rgb.psnr) result.worst = i;
        result.identical += std::isinf(result.frames[i].rgb.psnr);
    }
    result.mean = mean(result.frames);
    return result;
}

} // namespace mc::quality
