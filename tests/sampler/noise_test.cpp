// SPDX-License-Identifier: LGPL-2.1-or-later
// The noise generator: known answers, moments, independence of keys and of chunking; prints its throughput.
#include "tests/check.h"

#include <algorithm>
#include <chrono>
#include <thread>

#include "engine/sampler/noise.h"

using namespace mc::sampler;

namespace {

std::vector<float> noise(const NoiseKey& key, size_t n) {
    std::vector<float> out(n);
    normal_noise(key, out.data(), n);
    return out;
}

double correlation(const std::vector<float>& a, const std::vector<float>& b) {
    double sum = 0;
    for (size_t i = 0; i < a.size(); i++) sum += double(a[i]) * b[i];
    return sum / double(a.size());
}

constexpr NoiseKey base{7, Purpose::INITIAL, 0, 0, 0};
constexpr size_t many = 1 << 20;
constexpr double sigma = 1.0 / 1024; // of a mean of `many` values of variance 1

} // namespace

// The vectors published with the Random123 library.
TEST(philox_known_answers) {
    using Block = std::array<uint32_t, 4>;
    CHECK(philox4x32({0, 0, 0, 0}, {0, 0}) == (Block{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
    const uint32_t ones = 0xffffffff;
    CHECK(philox4x32({ones, ones, ones, ones}, {ones, ones}) ==
          (Block{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
    CHECK(philox4x32({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}) ==
          (Block{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(moments_of_a_normal_distribution) {
    const auto x = noise(base, many);
    double m1 = 0, m2 = 0, m3 = 0, m4 = 0, largest = 0;
    size_t beyond_one = 0;
    for (float value : x) {
        const double v = value;
        m1 += v, m2 += v * v, m3 += v * v * v, m4 += v * v * v * v;
        largest = std::max(largest, std::fabs(v));
        beyond_one += std::fabs(v) > 1;
    }
    const double n = double(many);
    CHECK_NEAR(m1 / n, 0, 5 * sigma);
    CHECK_NEAR(m2 / n, 1, 5 * sigma * std::sqrt(2.0));
    CHECK_NEAR(m3 / n, 0, 5 * sigma * std::sqrt(15.0));
    CHECK_NEAR(m4 / n, 3, 5 * sigma * std::sqrt(96.0));
    CHECK_NEAR(double(beyond_one) / n, 0.3173105, 5 * sigma * 0.4654);
    CHECK(largest > 4.5 && largest < 6.8);
}

TEST(every_part_of_the_key_counts) {
    const auto x = noise(base, many);
    for (const NoiseKey& other :
         {NoiseKey{8, Purpose::INITIAL, 0, 0, 0}, NoiseKey{7 + (int64_t(1) << 32), Purpose::INITIAL, 0, 0, 0},
          NoiseKey{7, Purpose::PREFIX, 0, 0, 0}, NoiseKey{7, Purpose::INITIAL, 1, 0, 0},
          NoiseKey{7, Purpose::INITIAL, 0, 1, 0}, NoiseKey{7, Purpose::INITIAL, 0, 0, 1}})
        CHECK_NEAR(correlation(x, noise(other, many)), 0, 5 * sigma);
}

TEST(neighbours_are_independent) {
    const auto x = noise(base, many + 4);
    for (size_t lag = 1; lag <= 4; lag++)
        CHECK_NEAR(correlation({x.begin(), x.begin() + many}, {x.begin() + lag, x.begin() + lag + many}), 0,
                   5 * sigma);
}

TEST(same_key_same_numbers) {
    const auto whole = noise(base, 1001);
    for (size_t n : {size_t(1), size_t(2), size_t(3), size_t(5), size_t(1000)}) {
        const auto part = noise(base, n);
        CHECK(std::equal(part.begin(), part.end(), whole.begin()));
    }
    std::vector<float> elsewhere;
    std::thread([&] { elsewhere = noise(base, 1001); }).join();
    CHECK(elsewhere == whole);
    normal_noise(base, nullptr, 0);
}

// So that a change of the generator, which changes every video, is not made unnoticed.
TEST(first_numbers_of_a_seed) {
    const auto x = noise({42, Purpose::PREFIX, 3, 2, 1}, 4);
    const double expected[] = {-0.3587991, -0.2013683, 0.9488328, 0.4177592};
    for (int i = 0; i < 4; i++) CHECK_NEAR(x[i], expected[i], 1e-6);
}

TEST(a_million_numbers_are_finite_and_how_fast_they_come) {
    std::vector<float> out(many);
    const auto start = std::chrono::steady_clock::now();
    normal_noise(base, out.data(), many);
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
    std::printf("noise: %.1f million numbers per second\n", double(many) / seconds.count() / 1e6);
    CHECK(std::all_of(out.begin(), out.end(), [](float x) { return std::isfinite(x); }));
}

int main(int argc, char** argv) {
    return mc::test::run_tests(argc, argv);
}
