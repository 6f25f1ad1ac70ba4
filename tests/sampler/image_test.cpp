// SPDX-License-Identifier: LGPL-2.1-or-later
// Crop and resize of a conditioning picture: bit-equal to the golden case, and what that case does not reach.
// First argument: the folder of golden data.
#include "tests/check.h"

#include "engine/error.h"
#include "engine/sampler/image.h"
#include "tests/golden/case_file.h"

using namespace mc::sampler;

namespace {

std::string golden_folder;

Image plain(int width, int height, uint8_t value) {
    return {width, height, std::vector<uint8_t>(size_t(width) * height * 3, value)};
}

// Every pixel different, so that a box can be recognised.
Image numbered(int width, int height) {
    Image image = plain(width, height, 0);
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++) {
            image.rgb[(size_t(y) * width + x) * 3] = uint8_t(x);
            image.rgb[(size_t(y) * width + x) * 3 + 1] = uint8_t(y);
        }
    return image;
}

Image image_of(const mc::model::TensorView& view) {
    std::vector<uint8_t> bytes(view.bytes);
    view.read(bytes.data());
    return {int(view.shape[1]), int(view.shape[0]), bytes};
}

} // namespace

TEST(golden_pictures_bit_for_bit) {
    const auto golden = mc::golden::CaseFile::open(golden_folder, "unit_image");
    const auto& targets = golden.settings().at("targets");
    for (size_t i = 0; i < targets.size(); i++) {
        const std::string k = "." + std::to_string(i);
        const int width = targets[i]["width"], height = targets[i]["height"];
        const Image cropped = crop_to_aspect(image_of(golden.inputs.tensors.at("image" + k)), width, height);
        const Image expected = image_of(golden.expected.tensors.at("cropped" + k));
        CHECK_EQ(cropped.width, expected.width);
        CHECK_EQ(cropped.height, expected.height);
        CHECK(cropped.rgb == expected.rgb);
        CHECK(resize_bicubic(cropped, width, height).rgb ==
              image_of(golden.expected.tensors.at("resized" + k)).rgb);
    }
}

TEST(crop_takes_the_middle) {
    const Image wide = crop_to_aspect(numbered(60, 20), 16, 16);
    CHECK_EQ(wide.width, 20);
    CHECK_EQ(wide.height, 20);
    CHECK_EQ(int(wide.rgb[0]), 20);
    const Image tall = crop_to_aspect(numbered(20, 60), 32, 16);
    CHECK_EQ(tall.width, 20);
    CHECK_EQ(tall.height, 10);
    CHECK_EQ(int(tall.rgb[1]), 25);
    // edges at 1.5 and 6.5 go to the even neighbours 2 and 6
    const Image half = crop_to_aspect(numbered(8, 5), 16, 16);
    CHECK_EQ(half.width, 4);
    CHECK_EQ(int(half.rgb[0]), 2);
    CHECK(crop_to_aspect(numbered(16, 32), 16, 32).rgb == numbered(16, 32).rgb);
}

TEST(resize_keeps_a_plain_picture) {
    for (uint8_t value : {uint8_t(0), uint8_t(1), uint8_t(128), uint8_t(255)})
        for (int size : {1, 7, 16, 33, 200})
            CHECK(resize_bicubic(plain(23, 17, value), size, size).rgb == plain(size, size, value).rgb);
}

TEST(resize_to_the_same_size_changes_nothing) {
    CHECK(resize_bicubic(numbered(21, 13), 21, 13).rgb == numbered(21, 13).rgb);
}

TEST(resize_stays_in_range_at_an_edge) {
    Image step = plain(8, 1, 0);
    std::fill(step.rgb.begin() + 12, step.rgb.end(), uint8_t(255));
    const Image wide = resize_bicubic(step, 32, 1);
    CHECK_EQ(int(wide.rgb.front()), 0);
    CHECK_EQ(int(wide.rgb.back()), 255);
    bool rising = true; // a wrapped overshoot would fall from 255 to near 0
    for (size_t i = 3; i < wide.rgb.size(); i++) rising &= wide.rgb[i] >= wide.rgb[i - 3];
    CHECK(rising);
}

TEST(pixels_are_planes_from_minus_one_to_one) {
    Image image = plain(16, 16, 0);
    for (size_t i = 0; i < image.rgb.size(); i += 3) image.rgb[i] = 255;
    const auto pixels = image_to_pixels(image, 32, 16);
    CHECK_EQ(pixels.size(), size_t(3 * 32 * 16));
    CHECK_EQ(pixels[0], 1.0f);
    CHECK_EQ(pixels[32 * 16], -1.0f);
    CHECK_EQ(pixels.back(), -1.0f);
}

TEST(refuses_what_is_no_picture) {
    CHECK_ERROR(crop_to_aspect({}, 16, 16), MC_ERROR_SETTINGS, "image");
    CHECK_ERROR(resize_bicubic({4, 4, std::vector<uint8_t>(47)}, 16, 16), MC_ERROR_SETTINGS, "47 bytes");
    CHECK_ERROR(resize_bicubic({-4, -4, std::vector<uint8_t>(48)}, 16, 16), MC_ERROR_SETTINGS, "image");
    CHECK_ERROR(image_to_pixels(plain(4, 4, 0), 0, 16), MC_ERROR_SETTINGS, "0 x 16");
    CHECK_ERROR(image_to_pixels(plain(1, 1000, 0), 2000, 16), MC_ERROR_SETTINGS, "too narrow");
    CHECK_ERROR(image_to_pixels(plain(1000, 1, 0), 16, 2000), MC_ERROR_SETTINGS, "too flat");
    CHECK_EQ(image_to_pixels(plain(1, 1, 7), 16, 16).size(), size_t(3 * 256));
}

int main(int argc, char** argv) {
    if (argc < 2) {
        std::fprintf(stderr, "usage: %s GOLDEN_FOLDER [CASE...]\n", argv[0]);
        return 2;
    }
    golden_folder = argv[1];
    return mc::test::run_tests(argc - 1, argv + 1);
}
