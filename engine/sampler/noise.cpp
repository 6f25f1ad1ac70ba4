// SPDX-License-Identifier: LGPL-2.1-or-later
#include "engine/sampler/noise.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <random>

namespace mc::sampler {
namespace {

// Box-Muller: two uniform numbers, neither 0 nor 1, to two normal ones. In double and rounded once at the end.
void to_normal(uint32_t a, uint32_t b, float* out) {
    const double radius = std::sqrt(-2 * std::log((a + 0.5) * 0x1p-32));
    const double angle = 2 * std::numbers::pi * ((b + 0.5) * 0x1p-32);
    out[0] = float(radius * std::cos(angle));
    out[1] = float(radius * std::sin(angle));
}

} // namespace

std::array<uint32_t, 4> philox4x32(std::array<uint32_t, 4> c, std::array<uint32_t, 2> k) {
    for (int round = 0; round < 10; round++) {
        const uint64_t p0 = uint64_t(0xD2511F53) * c[0], p1 = uint64_t(0xCD9E8D57) * c[2];
        c = {uint32_t(p1 >> 32) ^ c[1] ^ k[0], uint32_t(p1), uint32_t(p0 >> 32) ^ c[3] ^ k[1], uint32_t(p0)};
        k[0] += 0x9E3779B9;
        k[1] += 0xBB67AE85;
    }
    return c;
}

int64_t random_seed() {
    std::random_device device;
    return (int64_t(device()) << 31 ^ device()) & INT64_MAX;
}

void normal_noise(const NoiseKey& key, float* out, size_t n) {
    const std::array<uint32_t, 2> seed{uint32_t(key.seed), uint32_t(uint64_t(key.seed) >> 32)};
    const uint32_t purpose_and_row = uint32_t(key.purpose) << 28 | key.row;
    for (size_t i = 0; i < n; i += 4) {
        const auto bits = philox4x32({uint32_t(i / 4), key.frame, key.window, purpose_and_row}, seed);
        float normal[4];
        to_normal(bits[0], bits[1], normal);
        to_normal(bits[2], bits[3], normal + 2);
        std::copy_n(normal, std::min<size_t>(4, n - i), out + i);
    }
}

} // namespace mc::sampler
