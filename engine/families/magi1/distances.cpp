// SPDX-License-Identifier: LGPL-2.1-or-later
#include "engine/families/magi1/distances.h"

#include <ATen/ATen.h>
#include <algorithm>

namespace mc::magi1 {

std::vector<cache::FrameDistance> distance(const at::Tensor& now, const at::Tensor& before, bool each_token,
                                           bool bfloat16) {
    const at::Tensor a = bfloat16 ? now.to(at::kBFloat16) : now, b = bfloat16 ? before.to(at::kBFloat16) : before;
    at::Tensor difference = (a - b).abs(), magnitude = b.abs();
    difference = each_token ? difference.mean(1) : difference.mean().view(1);
    magnitude = each_token ? magnitude.mean(1) : magnitude.mean().view(1);
    if (bfloat16) {
        difference = difference / (magnitude + 1e-8);
        magnitude = at::ones_like(difference);
    }
    const at::Tensor d = difference.to(at::kCPU, at::kDouble).contiguous(),
                     m = magnitude.to(at::kCPU, at::kDouble).contiguous();
    std::vector<cache::FrameDistance> parts;
    for (int64_t i = 0; i < d.numel(); i++)
        parts.push_back({d.const_data_ptr<double>()[i], m.const_data_ptr<double>()[i]});
    return parts;
}

at::Tensor frame_change(const at::Tensor& x, const at::Tensor& before) {
    const int64_t channels = x.size(0);
    const at::Tensor first = before.defined() ? before : x.select(1, 0);
    const at::Tensor change = (x - at::cat({first.unsqueeze(1), x.narrow(1, 0, x.size(1) - 1)}, 1)).abs();
    // In the reference's order of additions: the smallest of a frame's changes is subtracted from the others, and with
    // a power below 1 the last digit shows.
    at::Tensor sum;
    for (int64_t k = 0; k < std::min<int64_t>(4, channels); k++) {
        at::Tensor part = change[k];
        for (int64_t c = k + 4; c < channels; c += 4) part = part + change[c];
        sum = sum.defined() ? sum + part : part;
    }
    const at::Tensor mean = sum / double(channels); // [frames, h, w]
    const at::Tensor p = mean.view({x.size(1), x.size(2) / 2, 2, x.size(3) / 2, 2});
    const auto corner = [&](int64_t row, int64_t column) { return p.select(4, column).select(2, row); };
    return (((corner(0, 0) + corner(0, 1)) + (corner(1, 0) + corner(1, 1))) / 4).to(at::kCPU).contiguous();
}

} // namespace mc::magi1
