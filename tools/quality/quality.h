// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// How near a video is to a reference, both as 8-bit RGB: PSNR and SSIM of each frame, and their means.
//
// PSNR is 10 log10(255^2 / mean squared error) dB, infinite for equal planes; SSIM: see ssim.h.
// In RGB the squared error is the mean over pixels and channels, and SSIM is the mean of the three channels'.
// Luma is Y = 0.2126 R + 0.7152 G + 0.0722 B of the bytes as they are (BT.709, full range), not rounded.
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace mc::quality {

struct Score {
    double psnr = 0; // dB
    double ssim = 0; // at most 1
};
struct FrameScores {
    Score rgb, luma;
};

// Frame after frame, each line after line of R, G, B, without gaps.
struct Video {
    std::span<const uint8_t> rgb;
    size_t width = 0, height = 0;
};

struct Comparison {
    std::vector<FrameScores> frames; // an infinite PSNR is infinite here
    FrameScores mean;                // see mean() below
    size_t worst = 0;                // the frame of the lowest PSNR in RGB, the first of them
    size_t identical = 0;            // number of frames that equal the reference's, byte for byte
};

// Throws std::invalid_argument: sizes that differ, no frame or a part of one, a side of less than 11 pixels.
Comparison compare(const Video& reference, const Video& video);

// What a frame counts for in a mean of PSNRs: at most 100 dB, so that equal frames leave the mean a number.
// One step in one sample of 160 x 96 pixels is 94.8 dB.
constexpr double PSNR_CAP = 100;
// The mean of each value over frames, which is not the PSNR of the mean error (what ffmpeg calls "average").
// Over the first frames and the last it tells the drift of a long video. Throws std::invalid_argument if
// there are none.
FrameScores mean(std::span<const FrameScores> frames);

} // namespace mc::quality
