// SPDX-License-Identifier: LGPL-2.1-or-later
#include <vector>

#include "engine/cache/motion_weights.h"
#include "engine/cache/vote.h"
#include "tests/cache/driver.h"
#include "tests/check.h"

using namespace mc;
using namespace mc::test;

namespace {

void check_near(const std::vector<float>& values, const std::vector<double>& expected) {
    CHECK_EQ(values.size(), expected.size());
    for (size_t i = 0; i < std::min(values.size(), expected.size()); i++)
        CHECK_NEAR(values[i], expected[i], 1e-6);
}

std::string bits(const std::vector<uint8_t>& mask) {
    std::string text;
    for (uint8_t bit : mask) text += char('0' + bit);
    return text;
}

} // namespace

TEST(motion_weights_are_normalised_frame_by_frame) {
    const std::vector<float> change{1, 2, 3, 10, 20, 40};
    check_near(motion_weights(change, 2, FirstFrame::COMPARED, CacheWeights::MEAN, 0.6),
               {0.5, 1, 1.5, 30.0 / 70, 60.0 / 70, 120.0 / 70});
    check_near(motion_weights(change, 2, FirstFrame::COMPARED, CacheWeights::MAX, 0.6),
               {1.0 / 3, 2.0 / 3, 1, 0.25, 0.5, 1});
    check_near(motion_weights(change, 2, FirstFrame::COMPARED, CacheWeights::MAX_RESCALE, 0.6),
               {0.6, 0.8, 1, 0.6, 0.6 + 0.4 / 3, 1});
    check_near(motion_weights(change, 2, FirstFrame::COMPARED, CacheWeights::MAX_RESCALE, 0),
               {0, 0.5, 1, 0, 1.0 / 3, 1});
    check_near(motion_weights(change, 2, FirstFrame::COMPARED, CacheWeights::MAX_RESCALE, 1),
               {1, 1, 1, 1, 1, 1});
    check_near(motion_weights(change, 2, FirstFrame::COMPARED, CacheWeights::NONE, 0.6), {1, 1, 1, 1, 1, 1});
}

TEST(motion_weights_of_the_first_frame) {
    const std::vector<float> change{7, 8, 1, 3};
    check_near(motion_weights(change, 2, FirstFrame::SECOND, CacheWeights::MEAN, 0), {0.5, 1.5, 0.5, 1.5});
    check_near(motion_weights(change, 2, FirstFrame::ONES, CacheWeights::MEAN, 0), {1, 1, 0.5, 1.5});
    check_near(motion_weights(change, 2, FirstFrame::ONES, CacheWeights::MAX, 0), {1, 1, 1.0 / 3, 1});
    // Ones stand before the normalisation: nothing stands out of a frame of ones.
    check_near(motion_weights(change, 2, FirstFrame::ONES, CacheWeights::MAX_RESCALE, 0.3),
               {0.3, 0.3, 0.3, 1});
}

TEST(motion_weights_of_a_chunk_of_one_frame) {
    const std::vector<float> change{2, 6};
    check_near(motion_weights(change, 1, FirstFrame::COMPARED, CacheWeights::MEAN, 0), {0.5, 1.5});
    for (FirstFrame first : {FirstFrame::SECOND, FirstFrame::ONES}) {
        check_near(motion_weights(change, 1, first, CacheWeights::MEAN, 0), {1, 1});
        check_near(motion_weights(change, 1, first, CacheWeights::MAX_RESCALE, 0.6), {0.6, 0.6});
    }
}

TEST(motion_weights_of_a_still_picture) {
    const std::vector<float> change(4, 0);
    check_near(motion_weights(change, 2, FirstFrame::COMPARED, CacheWeights::MEAN, 0.6), {0, 0, 0, 0});
    check_near(motion_weights(change, 2, FirstFrame::COMPARED, CacheWeights::MAX, 0.6), {0, 0, 0, 0});
    check_near(motion_weights(change, 2, FirstFrame::COMPARED, CacheWeights::MAX_RESCALE, 0.6),
               {0.6, 0.6, 0.6, 0.6});
}

TEST(vote_needs_more_than_the_share) {
    const std::vector<uint8_t> due{1, 1, 1, 0,  //
                                   1, 1, 0, 0,  //
                                   1, 0, 0, 0,  //
                                   1, 0, 0, 0}; // 4, 2, 1, 0 of 4 frames
    CHECK_EQ(bits(vote(due, 4, 0.5)), "1000100010001000");
    CHECK_EQ(bits(vote(due, 4, 0.49)), "1100110011001100");
    CHECK_EQ(bits(vote(due, 4, 0.25)), "1100110011001100");
    CHECK_EQ(bits(vote(due, 4, 0)), "1110111011101110");
    CHECK_EQ(bits(vote(due, 4, 1)), "0000000000000000");
    CHECK_EQ(bits(vote(due, 1, 0.5)), bits(due));
    // A share that no binary number is: 3 of 10 are not more than 0.3.
    const std::vector<uint8_t> ten{1, 1, 1, 0, 0, 0, 0, 0, 0, 0};
    CHECK_EQ(bits(vote(ten, 10, 0.3)), "0000000000");
}
