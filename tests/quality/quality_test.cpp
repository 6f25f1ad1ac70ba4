// SPDX-License-Identifier: LGPL-2.1-or-later
// PSNR and SSIM: scikit-image's numbers, what holds for any pictures, and what is no pair of videos.
#include "tools/quality/quality.h"

#include <cmath>
#include <stdexcept>

#include "tests/check.h"
#include "tests/quality/frames.h"

using namespace mc::quality;
using test::Bytes;

namespace {

FrameScores one(const Bytes& reference, const Bytes& other, size_t width = 160, size_t height = 96) {
    return compare({reference, width, height}, {other, width, height}).mean;
}

void check_near(const FrameScores& is, const FrameScores& wanted, double tolerance) {
    CHECK_NEAR(is.rgb.psnr, wanted.rgb.psnr, tolerance);
    CHECK_NEAR(is.rgb.ssim, wanted.rgb.ssim, tolerance);
    CHECK_NEAR(is.luma.psnr, wanted.luma.psnr, tolerance);
    CHECK_NEAR(is.luma.ssim, wanted.luma.ssim, tolerance);
}

} // namespace

TEST(the_numbers_of_scikit_image) {
    const struct {
        int width, height;
        const char* how;
        int amount;
        double psnr, ssim, luma_psnr, luma_ssim;
    } recorded[] = {
#include "tests/quality/recorded.inc"
    };
    for (const auto& r : recorded) {
        const int before = mc::test::failures();
        check_near(one(test::frame(r.width, r.height), test::frame(r.width, r.height, r.how, r.amount),
                       r.width, r.height),
                   {{r.psnr, r.ssim}, {r.luma_psnr, r.luma_ssim}}, 1e-10);
        if (mc::test::failures() > before)
            std::fprintf(stderr, "  in %s %d, %d x %d\n", r.how, r.amount, r.width, r.height);
    }
}

TEST(identical_frames_have_an_ssim_of_1_and_count_as_100_dB) {
    for (const char* how : {"same", "other"}) {
        const Bytes picture = test::frame(160, 96, how);
        const Comparison c = compare({picture, 160, 96}, {picture, 160, 96});
        CHECK(std::isinf(c.frames[0].rgb.psnr) && std::isinf(c.frames[0].luma.psnr));
        CHECK_EQ(c.frames[0].rgb.ssim, 1.);
        CHECK_EQ(c.frames[0].luma.ssim, 1.);
        CHECK_EQ(c.mean.rgb.psnr, PSNR_CAP);
        CHECK_EQ(c.mean.luma.psnr, PSNR_CAP);
        CHECK_EQ(c.identical, 1u);
    }
}

TEST(the_order_of_the_two_does_not_matter) {
    const Bytes a = test::frame(160, 96);
    for (const char* how : {"noise", "moved", "other"}) {
        const Bytes b = test::frame(160, 96, how, 7);
        check_near(one(a, b), one(b, a), 1e-12);
    }
}

TEST(more_noise_is_worse) {
    const Bytes picture = test::frame(160, 96);
    FrameScores before{{PSNR_CAP, 1}, {PSNR_CAP, 1}};
    for (int amount : {1, 2, 5, 10, 30, 60, 100}) {
        const FrameScores now = one(picture, test::frame(160, 96, "noise", amount));
        CHECK(now.rgb.psnr < before.rgb.psnr && now.rgb.ssim < before.rgb.ssim);
        CHECK(now.luma.psnr < before.luma.psnr && now.luma.ssim < before.luma.ssim);
        before = now;
    }
}

TEST(a_constant_shift_costs_what_its_size_says) {
    // Two plain greys: nothing but the luminance term of SSIM is left, with C1 = (0.01 255)^2.
    const Bytes a(11 * 11 * 3, 100), b(11 * 11 * 3, 110);
    const double psnr = 20 * std::log10(255. / 10), c1 = 2.55 * 2.55;
    const double ssim = (2. * 100 * 110 + c1) / (100. * 100 + 110. * 110 + c1);
    check_near(one(a, b, 11, 11), {{psnr, ssim}, {psnr, ssim}}, 1e-10);
}

TEST(luma_weighs_green_most) {
    const Bytes grey(11 * 11 * 3, 100);
    double psnr[3];
    for (int c = 0; c < 3; c++) {
        Bytes coloured = grey;
        for (size_t i = c; i < coloured.size(); i += 3) coloured[i] += 20;
        const FrameScores s = one(grey, coloured, 11, 11);
        CHECK_NEAR(s.rgb.psnr, 10 * std::log10(3 * 255. * 255 / 400), 1e-10);
        psnr[c] = s.luma.psnr;
    }
    CHECK_NEAR(psnr[0], 20 * std::log10(255 / (20 * 0.2126)), 1e-9);
    CHECK_NEAR(psnr[1], 20 * std::log10(255 / (20 * 0.7152)), 1e-9);
    CHECK_NEAR(psnr[2], 20 * std::log10(255 / (20 * 0.0722)), 1e-9);
}

TEST(a_video_is_its_frames) {
    const Bytes picture = test::frame(33, 47);
    const Bytes frames[] = {picture,
                            test::frame(33, 47, "noise", 10),
                            test::frame(33, 47, "other"),
                            test::frame(33, 47, "noise", 1),
                            picture,
                            test::frame(33, 47, "other")};
    Bytes reference, video;
    for (const Bytes& f : frames) {
        reference.insert(reference.end(), picture.begin(), picture.end());
        video.insert(video.end(), f.begin(), f.end());
    }
    const Comparison c = compare({reference, 33, 47}, {video, 33, 47});
    CHECK_EQ(c.frames.size(), 6u);
    CHECK_EQ(c.worst, 2u);
    CHECK_EQ(c.identical, 2u);
    FrameScores sum;
    for (size_t i = 0; i < 6; i++) {
        const FrameScores alone = one(picture, frames[i], 33, 47);
        check_near(mean({&c.frames[i], 1}), alone, 0);
        sum.rgb.psnr += alone.rgb.psnr / 6;
        sum.rgb.ssim += alone.rgb.ssim / 6;
        sum.luma.psnr += alone.luma.psnr / 6;
        sum.luma.ssim += alone.luma.ssim / 6;
    }
    check_near(c.mean, sum, 1e-12);
    check_near(mean(std::span(c.frames).last(1)), one(picture, frames[5], 33, 47), 0);
}

TEST(what_is_no_pair_of_videos) {
    const Bytes bytes(16 * 16 * 3 * 2);
    const auto video = [&](size_t width, size_t height, size_t size) {
        return Video{std::span(bytes).first(size), width, height};
    };
    const auto refused = [](const Video& a, const Video& b, const char* why) {
        try {
            compare(a, b);
            CHECK_EQ(std::string("no error"), why);
        } catch (const std::invalid_argument& e) {
            if (!std::strstr(e.what(), why)) CHECK_EQ(std::string(e.what()), why);
        }
    };
    const size_t frame = 16 * 16 * 3;
    const Video good = video(16, 16, frame);
    CHECK_EQ(compare(good, good).frames.size(), 1u);
    refused(good, video(16, 16, 2 * frame), "differ in size");
    refused(good, video(12, 64 / 3, frame), "differ in size");
    refused(video(32, 16, 2 * frame), video(16, 32, 2 * frame), "differ in size");
    for (const Video& bad : {video(10, 16, 480), video(16, 10, 480), video(0, 0, 0), video(0, 16, frame)})
        refused(bad, bad, "Frames need 11 pixels");
    const size_t huge = size_t(1) << 62; // 3 huge huge is 0
    for (const Video& bad : {video(16, 16, 0), video(16, 16, frame - 1), video(16, 16, frame + 3),
                             video(huge, huge, frame), video(huge, huge, 0)})
        refused(bad, bad, "whole frames");
    try {
        mean({});
        CHECK(!"the mean of nothing");
    } catch (const std::invalid_argument&) {
    }
}

int main(int argc, char** argv) {
    return mc::test::run_tests(argc, argv);
}
