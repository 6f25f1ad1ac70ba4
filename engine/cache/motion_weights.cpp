// SPDX-License-Identifier: LGPL-2.1-or-later
#include "engine/cache/motion_weights.h"

#include <algorithm>
#include <cmath>

namespace mc::cache {
namespace {

constexpr float TINY = 1e-8f;

void normalise(std::span<float> frame, CacheWeights mode, float floor) {
    const auto [least, most] = std::minmax_element(frame.begin(), frame.end());
    const float minimum = *least, maximum = *most;
    if (mode == CacheWeights::MAX_RESCALE) {
        for (float& value : frame)
            value = floor + (1 - floor) * ((value - minimum) / (maximum - minimum + TINY));
    } else if (mode == CacheWeights::MAX) {
        for (float& value : frame) value /= maximum + TINY;
    } else {
        double sum = 0;
        for (float value : frame) sum += value;
        const float mean = float(sum / double(frame.size()));
        for (float& value : frame) value /= mean + TINY;
    }
}

} // namespace

std::vector<float> motion_weights(std::span<const float> change, int frames, FirstFrame first,
                                  CacheWeights mode, double floor) {
    std::vector<float> weights(change.begin(), change.end());
    const size_t positions = change.size() / size_t(frames);
    if (mode == CacheWeights::NONE) {
        std::fill(weights.begin(), weights.end(), 1.0f);
        return weights;
    }
    if (first == FirstFrame::ONES || (first == FirstFrame::SECOND && frames == 1))
        std::fill_n(weights.begin(), positions, 1.0f);
    else if (first == FirstFrame::SECOND)
        std::copy_n(change.begin() + ptrdiff_t(positions), positions, weights.begin());
    for (int f = 0; f < frames; f++)
        normalise(std::span(weights).subspan(size_t(f) * positions, positions), mode, float(floor));
    return weights;
}

std::vector<float> range_weights(std::span<const float> change, int frames, bool has_previous, double floor,
                                 double power) {
    std::vector<float> weights(change.size(), 1);
    const size_t positions = change.size() / size_t(frames);
    const float least = float(floor);
    for (size_t begin = has_previous ? 0 : positions; begin < change.size(); begin += positions) {
        const auto frame = change.subspan(begin, positions);
        const auto [lowest, highest] = std::minmax_element(frame.begin(), frame.end());
        const float low = *lowest, high = *highest;
        if (!(high > low)) continue;
        for (size_t p = 0; p < positions; p++) {
            const float way = (frame[p] - low) / (high - low);
            weights[begin + p] = least + (1 - least) * (power == 1 ? way : std::pow(way, float(power)));
        }
    }
    return weights;
}

} // namespace mc::cache
