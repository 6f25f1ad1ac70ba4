// SPDX-License-Identifier: LGPL-2.1-or-later
#include "engine/cache/reuse_share.h"

#include <algorithm>
#include <vector>

namespace mc::cache {

void limit_reuse(std::span<const float> sums, double share, std::span<uint8_t> due) {
    if (share >= 1) return;
    std::vector<float> reused;
    for (size_t t = 0; t < sums.size(); t++)
        if (!due[t]) reused.push_back(sums[t]);
    const size_t most = size_t(double(sums.size()) * share);
    if (reused.size() <= most) return;
    if (most == 0) {
        std::fill(due.begin(), due.end(), 1);
        return;
    }
    std::nth_element(reused.begin(), reused.begin() + ptrdiff_t(most - 1), reused.end());
    const float last = reused[most - 1];
    for (size_t t = 0; t < sums.size(); t++) due[t] |= !(sums[t] <= last);
}

} // namespace mc::cache
