// SPDX-License-Identifier: LGPL-2.1-or-later
// bfloat16 and colour: exact, byte for byte.
#include "fuzz.h"
#include "kernels/key_values.h"

using namespace mc::kernels;
using namespace mc::kernels::test;

namespace {

std::vector<float> awkward_floats(Random& random) {
    std::vector<float> v = {0.f, -0.f, INFINITY, -INFINITY, NAN, 3.4028235e38f, -3.4028235e38f, 1e-45f};
    for (uint32_t upper = 0; upper < 0x10000; upper += random.size(1, 13)) // around a tie, wherever it is
        for (uint32_t lower : {0u, 1u, 0x7fffu, 0x8000u, 0x8001u, 0xffffu})
            v.push_back(from_bits(upper << 16 | lower));
    for (int i = 0; i < 20000; i++) v.push_back(from_bits(random.bits()));
    return v;
}

bool same_bits(float a, float b) {
    return std::memcmp(&a, &b, sizeof a) == 0;
}

TEST(bf16_conversions) {
    each_target([] {
        Random random(1);
        for (int round = 0; round < 10; round++) {
            std::vector<float> in = awkward_floats(random);
            in.resize(in.size() - random.size(0, 40));
            const size_t n = in.size();
            std::vector<bf16> fast(n), plain(n);
            to_bf16(in.data(), fast.data(), n);
            plain::to_bf16(in.data(), plain.data(), n);
            std::vector<float> fast_wide(n), plain_wide(n), fast_rounded = in, plain_rounded = in;
            from_bf16(plain.data(), fast_wide.data(), n);
            plain::from_bf16(plain.data(), plain_wide.data(), n);
            round_to_bf16(fast_rounded.data(), n);
            plain::round_to_bf16(plain_rounded.data(), n);
            const size_t half = n / 2;
            std::vector<bf16> pairs(2 * half); // of the first half and the second
            to_bf16_pairs(in.data(), in.data() + half, pairs.data(), half);
            size_t wrong = 0;
            for (size_t i = 0; i < 2 * half; i++) wrong += pairs[i].bits != plain[i % 2 * half + i / 2].bits;
            for (size_t i = 0; i < n; i++)
                wrong += fast[i].bits != plain[i].bits || !same_bits(fast_wide[i], plain_wide[i]) ||
                         !same_bits(fast_rounded[i], plain_rounded[i]) ||
                         !same_bits(plain_rounded[i], plain_wide[i]);
            CHECK_EQ(wrong, 0u);
        }
    });
}

// Against the definition rather than the plain version: no bfloat16 is nearer, and of two equally near it is the even
// one.
TEST(bf16_is_the_nearest) {
    Random random(2);
    for (float x : awkward_floats(random)) {
        bf16 r;
        plain::to_bf16(&x, &r, 1);
        if (std::isnan(x)) {
            CHECK(std::isnan(widened(r)));
            continue;
        }
        if (std::fabs(x) >= 3.39e38f) continue; // the upper neighbour is infinity: no distance to it
        const double distance = std::fabs(double(widened(r)) - x);
        for (int step : {-1, 1}) {
            const bf16 other{uint16_t(r.bits + step)};
            if ((r.bits & 0x7fff) == 0 && step < 0) continue; // of zero: the other sign's largest
            const double there = std::fabs(double(widened(other)) - x);
            CHECK(distance < there || (distance == there && r.bits % 2 == 0));
        }
    }
    bf16 r;
    const float largest = 3.4028235e38f;
    plain::to_bf16(&largest, &r, 1);
    CHECK_EQ(r.bits, 0x7f80); // nearer to 2^128 than to the largest bfloat16
}

// Bytes of a picture with gaps between its rows, which must stay as it was.
struct Image {
    std::vector<uint8_t> bytes[3];
    uint8_t* planes[3];
    size_t strides[3];

    Image(size_t height, std::initializer_list<size_t> widths, size_t gap) {
        size_t i = 0;
        for (size_t width : widths) {
            const size_t rows = i && widths.size() > 1 ? height / 2 : height;
            strides[i] = width + gap;
            bytes[i].assign((rows - 1) * strides[i] + width, 0xa5);
            planes[i] = bytes[i].data();
            ++i;
        }
    }
};

struct Frames {
    std::vector<float> values;
    Picture picture;

    Frames(Random& random, size_t width, size_t height, size_t gap)
        : values(random.normals(3 * width * height + 2 * gap, 0.8f)), picture{values.data(),
                                                                              width * height + gap, width,
                                                                              height} {
        for (size_t i = 0; i < values.size() / 50; i++) {
            const float odd[] = {NAN, INFINITY, -INFINITY, 1.f, -1.f, -0.f, 1e30f, 0.99999994f, -1.0000001f};
            values[random.size(0, values.size() - 1)] = odd[random.size(0, 8)];
        }
        // exactly at the steps of the 8-bit scale
        for (size_t i = 0; i < values.size() / 10; i++)
            values[random.size(0, values.size() - 1)] = random.size(0, 255) / 127.5f - 1;
    }
};

TEST(pictures) {
    each_target([] {
        for (uint64_t seed = 0; seed < 60; seed++) {
            Random random(seed);
            const size_t width = 2 * random.size(1, 60), height = 2 * random.size(1, 6),
                         gap = random.size(0, 9);
            const Frames in(random, width, height, random.size(0, 5));
            Image fast(height, {3 * width}, gap), plain = Image(height, {3 * width}, gap);
            picture_to_rgb(in.picture, fast.planes[0], fast.strides[0]);
            plain::picture_to_rgb(in.picture, plain.planes[0], plain.strides[0]);
            compare_bytes("rgb", fast.bytes[0], plain.bytes[0]);

            Image fast3(height, {width, width / 2, width / 2}, gap),
                plain3(height, {width, width / 2, width / 2}, gap);
            picture_to_i420(in.picture, fast3.planes, fast3.strides);
            plain::picture_to_i420(in.picture, plain3.planes, plain3.strides);
            for (int i = 0; i < 3; i++) compare_bytes("i420", fast3.bytes[i], plain3.bytes[i]);

            Image fast2(height, {width, width}, gap), plain2(height, {width, width}, gap);
            picture_to_nv12(in.picture, fast2.planes, fast2.strides);
            plain::picture_to_nv12(in.picture, plain2.planes, plain2.strides);
            for (int i = 0; i < 2; i++) compare_bytes("nv12", fast2.bytes[i], plain2.bytes[i]);
            // the two formats hold the same samples
            CHECK(fast2.bytes[0] == fast3.bytes[0]);
            for (size_t j = 0; j < height / 2; j++)
                for (size_t i = 0; i < width / 2; i++) {
                    CHECK_EQ(fast2.planes[1][j * fast2.strides[1] + 2 * i],
                             fast3.planes[1][j * fast3.strides[1] + i]);
                    CHECK_EQ(fast2.planes[1][j * fast2.strides[1] + 2 * i + 1],
                             fast3.planes[2][j * fast3.strides[2] + i]);
                }
        }
    });
}

// Every 8-bit RGB on a coarse grid against BT.709's own definition in double, and the textbook values.
TEST(colour_is_bt709) {
    const auto yuv = [](int r, int g, int b, int out[3]) {
        std::vector<float> rgb;
        for (int v : {r, g, b})
            for (int i = 0; i < 4; i++) rgb.push_back((v + 0.5f) / 127.5f - 1);
        uint8_t luma[4], cb[1], cr[1];
        uint8_t* planes[3] = {luma, cb, cr};
        const size_t strides[3] = {2, 1, 1};
        plain::picture_to_i420({rgb.data(), 4, 2, 2}, planes, strides);
        out[0] = luma[0], out[1] = cb[0], out[2] = cr[0];
    };
    struct Known {
        int rgb[3], yuv[3];
    };
    for (const Known& k : {Known{{0, 0, 0}, {16, 128, 128}}, Known{{255, 255, 255}, {235, 128, 128}},
                           Known{{255, 0, 0}, {63, 102, 240}}, Known{{0, 255, 0}, {173, 42, 26}},
                           Known{{0, 0, 255}, {32, 240, 118}}, Known{{128, 128, 128}, {126, 128, 128}}}) {
        int out[3];
        yuv(k.rgb[0], k.rgb[1], k.rgb[2], out);
        for (int c = 0; c < 3; c++) CHECK_EQ(out[c], k.yuv[c]);
    }
    for (int r = 0; r < 256; r += 15)
        for (int g = 0; g < 256; g += 15)
            for (int b = 0; b < 256; b += 15) {
                int out[3];
                yuv(r, g, b, out);
                const double y = 0.2126 * r + 0.7152 * g + 0.0722 * b;
                CHECK_NEAR(out[0], 16 + y * 219 / 255, 0.506);
                CHECK_NEAR(out[1], 128 + (b - y) / 1.8556 * 224 / 255, 0.506);
                CHECK_NEAR(out[2], 128 + (r - y) / 1.5748 * 224 / 255, 0.506);
            }
}

// A blue column spreads to its own sample and a quarter to the next; one left of the picture repeats the
// first.
TEST(chroma_is_sited_left) {
    const auto cb_of = [](size_t column, size_t sample) {
        std::vector<float> rgb(3 * 2 * 6, -1.f);
        for (size_t y = 0; y < 2; y++) rgb[2 * 12 + y * 6 + column] = 1.f;
        uint8_t luma[12], cb[3], cr[3];
        uint8_t* planes[3] = {luma, cb, cr};
        const size_t strides[3] = {6, 3, 3};
        plain::picture_to_i420({rgb.data(), 12, 6, 2}, planes, strides);
        return int(cb[sample]) - 128;
    };
    CHECK_EQ(cb_of(2, 1), 56); // half of 112
    CHECK_EQ(cb_of(2, 0), 0);
    CHECK_EQ(cb_of(3, 1), 28);
    CHECK_EQ(cb_of(3, 2), 28);
    CHECK_EQ(cb_of(0, 0), 84); // its own half and the repeated quarter
}

void timings() {
    Random random(9);
    for (size_t n : {size_t(4096), size_t(1) << 22}) {
        std::vector<float> x = random.normals(n);
        std::vector<bf16> half(n);
        char what[60];
        const auto label = [&](const char* kernel) {
            std::snprintf(what, sizeof what, "%s %zu", kernel, n);
            return what;
        };
        time_beside(
            label("to_bf16"), n, 6 * n, [&] { to_bf16(x.data(), half.data(), n); },
            [&] { plain::to_bf16(x.data(), half.data(), n); });
        time_beside(
            label("from_bf16"), n, 6 * n, [&] { from_bf16(half.data(), x.data(), n); },
            [&] { plain::from_bf16(half.data(), x.data(), n); });
        time_beside(
            label("round_to_bf16"), n, 8 * n, [&] { round_to_bf16(x.data(), n); },
            [&] { plain::round_to_bf16(x.data(), n); });
    }
    const size_t width = 832, height = 480, n = width * height;
    const Frames in(random, width, height, 0);
    Image rgb(height, {3 * width}, 0), i420(height, {width, width / 2, width / 2}, 0),
        nv12(height, {width, width}, 0);
    time_beside(
        "picture_to_rgb 832x480, per pixel", n, 15 * n,
        [&] { picture_to_rgb(in.picture, rgb.planes[0], rgb.strides[0]); },
        [&] { plain::picture_to_rgb(in.picture, rgb.planes[0], rgb.strides[0]); });
    time_beside(
        "picture_to_i420 832x480, per pixel", n, 27 * n / 2,
        [&] { picture_to_i420(in.picture, i420.planes, i420.strides); },
        [&] { plain::picture_to_i420(in.picture, i420.planes, i420.strides); });
    time_beside(
        "picture_to_nv12 832x480, per pixel", n, 27 * n / 2,
        [&] { picture_to_nv12(in.picture, nv12.planes, nv12.strides); },
        [&] { plain::picture_to_nv12(in.picture, nv12.planes, nv12.strides); });
}

} // namespace

int main(int argc, char** argv) {
    return run(argc, argv, timings);
}
