// SPDX-License-Identifier: LGPL-2.1-or-later
// The emulation of AMX's tile instructions, by hand: what a sum is made of and in which order, and what a processor
// would refuse.
#include "kernels/amx.h"

#include <cmath>
#include <cstring>
#include <functional>
#include <limits>
#include <stdexcept>
#include <vector>

#include "kernels/bf16.h"
#include "kernels/gemm.h"
#include "tests/check.h"

using namespace mc::kernels;

namespace {

// Sums of tile 0, one row by one column; a: a row of tile 1; b: a column of tile 2.
AmxShapes one_by_one(size_t pairs) {
    AmxShapes s;
    const uint16_t row_bytes[3] = {4, uint16_t(4 * pairs), 4};
    const uint8_t rows[3] = {1, 1, uint8_t(pairs)};
    for (int t = 0; t < 3; t++) {
        s.row_bytes[t] = row_bytes[t];
        s.rows[t] = rows[t];
    }
    return s;
}

float product(float sum, const std::vector<float>& a, const std::vector<float>& b) {
    std::vector<bf16> left, right;
    for (float x : a) left.push_back(rounded(x));
    for (float x : b) right.push_back(rounded(x));
    AmxEmulation::shape(one_by_one(a.size() / 2));
    AmxEmulation::load<0>(&sum, 0);
    AmxEmulation::load<1>(left.data(), 0);
    AmxEmulation::load<2>(right.data(), 4);
    AmxEmulation::multiply<0, 1, 2>();
    AmxEmulation::store<0>(&sum, 0);
    AmxEmulation::release();
    return sum;
}

bool refused(const std::function<void()>& body) {
    try {
        body();
    } catch (const std::logic_error&) {
        return true;
    }
    return false;
}

constexpr float LARGE = 1 << 24; // 1 more is lost in float32

} // namespace

TEST(products_of_pairs_are_added) {
    CHECK_EQ(product(0.5f, {1, 2, 3, 4}, {10, 100, 1, 0}), 0.5f + 10 + 200 + 3);
}

// The first of all pairs are added up by themselves, and the second; both to each other; that to the sum.
TEST(sums_are_made_in_the_manuals_order) {
    CHECK_EQ(product(0, {LARGE, 1, 0, 1}, {1, 1, 0, 1}), LARGE + 2);         // 1 + 1 first
    CHECK_EQ(product(0, {LARGE, 0, 1, 0, 1, 0}, {1, 0, 1, 0, 1, 0}), LARGE); // one after the other
    CHECK_EQ(product(LARGE, {1, 0, 1, 0}, {1, 0, 1, 0}), LARGE + 2);
    CHECK_EQ(product(-LARGE, {LARGE, 1, 0, 0}, {1, 1, 0, 0}),
             0.f); // LARGE + 1 rounds to even before the sum joins
}

// A product of two bfloat16 is exact in float32 unless it is a denormal: not flushed before it is added.
TEST(products_are_fused_with_their_addition) {
    const float least = std::numeric_limits<float>::min(), root = std::ldexp(1.f, -65); // least is 2^-126
    CHECK_EQ(product(0, {least, 0, root, 0}, {1, 0, root, 0}), least + least / 16);
    CHECK_EQ(product(0, {root, 0}, {root, 0}), 0.f);
}

TEST(denormals_are_zero) {
    const float least = std::numeric_limits<float>::min(), denormal = least / 4;
    CHECK_EQ(product(denormal, {0, 0}, {0, 0}), 0.f);
    CHECK_EQ(product(0, {denormal, 0}, {LARGE, 0}), 0.f); // where it comes in
    CHECK_EQ(product(0, {least, 0}, {0.25f, 0}), 0.f);    // where it would come out
    CHECK_EQ(product(0, {least, 0}, {2, 0}), 2 * least);
    CHECK_EQ(product(0, {least, 0, -1.5f * least, 0}, {1, 0, 1, 0}), 0.f); // in the middle of a sum too
    CHECK_EQ(product(least, {least, 0, -1.5f * least, 0}, {1, 0, 1, 0}), least);
}

TEST(not_a_number_stays_one) {
    CHECK(std::isnan(product(0, {NAN, 0, 1, 0}, {1, 0, 1, 0})));
    CHECK(std::isnan(product(NAN, {1, 0}, {1, 0})));
    CHECK(std::isnan(product(0, {0, 0}, {INFINITY, 0})));
    CHECK_EQ(product(0, {INFINITY, 0}, {1, 0}), INFINITY);
}

TEST(rows_and_columns_beyond_the_shape_are_left_alone) {
    AmxShapes s;
    s.rows[0] = 2;
    s.row_bytes[0] = 12;
    AmxEmulation::shape(s);
    const float from[8] = {1, 2, 3, 4, 5, 6, 7, 8};
    float to[12] = {};
    AmxEmulation::load<0>(from, 16);
    AmxEmulation::store<0>(to + 1, 20);
    const float expected[12] = {0, 1, 2, 3, 0, 0, 5, 6, 7, 0, 0, 0};
    CHECK(!std::memcmp(to, expected, sizeof to));
    AmxEmulation::load<0>(from, 0); // every row the same
    AmxEmulation::store<0>(to + 1, 20);
    CHECK_EQ(to[6], 1.f);
    AmxEmulation::shape(s); // forgets what they held
    AmxEmulation::store<0>(to + 1, 20);
    CHECK_EQ(to[1], 0.f);
    AmxEmulation::release();
}

TEST(what_a_processor_refuses) {
    AmxEmulation::release();
    CHECK(refused([] { AmxEmulation::zero<0>(); }));
    AmxEmulation::shape(one_by_one(2));
    CHECK(refused([] { AmxEmulation::zero<3>(); }));
    CHECK(!refused([] { AmxEmulation::multiply<0, 1, 2>(); }));
    CHECK(refused([] { AmxEmulation::multiply<0, 2, 1>(); }));
    CHECK(refused([] { AmxEmulation::multiply<0, 1, 1>(); }));
    const auto shape = [](auto change) {
        return refused([&] {
            AmxShapes s = one_by_one(2);
            change(s);
            AmxEmulation::shape(s);
        });
    };
    CHECK(!shape([](AmxShapes&) {}));
    CHECK(shape([](AmxShapes& s) { s.palette = 2; }));
    CHECK(shape([](AmxShapes& s) { s.reserved1[3] = 1; }));
    CHECK(shape([](AmxShapes& s) { s.rows[0] = 17; }));
    CHECK(shape([](AmxShapes& s) { s.row_bytes[0] = 68; }));
    CHECK(shape([](AmxShapes& s) { s.rows[7] = 1; })); // and no bytes
    AmxEmulation::release();
}

int main(int argc, char** argv) {
    return mc::test::run_tests(argc, argv);
}
