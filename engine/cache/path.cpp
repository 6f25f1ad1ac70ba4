// SPDX-License-Identifier: LGPL-2.1-or-later
#include "engine/cache/path.h"

#include <algorithm>
#include <functional>

namespace mc::cache {

double Path::at(double s) const {
    const auto next = std::upper_bound(sigma.begin() + 1, sigma.end() - 1, s, std::greater<double>());
    const size_t i = size_t(next - sigma.begin());
    const double way = (sigma[i - 1] - s) / (sigma[i - 1] - sigma[i]);
    return length[i - 1] + way * (length[i] - length[i - 1]);
}

bool is_path(const Path& path) {
    const size_t n = path.sigma.size();
    if (path.length.size() != n || n == 1) return false;
    if (n == 0) return true;
    for (size_t i = 1; i < n; i++)
        if (!(path.sigma[i] < path.sigma[i - 1]) || !(path.length[i] >= path.length[i - 1])) return false;
    return path.sigma.front() == 1 && path.sigma.back() == 0 && path.length.front() == 0 && path.length.back() == 1;
}

} // namespace mc::cache
