// SPDX-License-Identifier: LGPL-2.1-or-later
#include "engine/networks/wan_dit/time_table.h"

#include <ATen/ATen.h>

#include "engine/device.h"
#include "engine/networks/wan_dit/layers.h"

namespace mc::wan_dit {

void TimeTable::prepare(const std::vector<int64_t>& timesteps, networks::CallCount* count) {
    const Transformer::Impl& m = model_;
    std::vector<int64_t> missing;
    for (int64_t t : timesteps)
        if (rows_.try_emplace(t, static_cast<int64_t>(rows_.size())).second) missing.push_back(t);
    if (missing.empty()) return;

    const int64_t half = m.config.frequencies / 2, D = m.config.width;
    at::Tensor frequency = at::pow(at::scalar_tensor(10000.0, at::kDouble),
                                   -at::arange(half, at::kDouble) / static_cast<double>(half));
    at::Tensor angle = at::outer(at::tensor(missing).to(at::kDouble), frequency); // [missing, half]
    at::Tensor sinusoid = upload(at::cat({angle.cos(), angle.sin()}, 1).to(at::kFloat), m.device);
    at::Tensor e = m.apply(m.time_out, at::silu(m.apply(m.time_in, sinusoid, count)), count);
    e = m.rounded(e);
    at::Tensor e0 = m.rounded(m.apply(m.time_proj, m.rounded(at::silu(e)), count));
    if (m.fps_embedding.defined()) {
        at::Tensor row = m.fps_embedding.narrow(0, fps_ == 16 ? 0 : 1, 1);
        at::Tensor hidden = m.rounded(at::silu(m.rounded(m.apply(m.fps_in, row, count))));
        e0 = m.rounded(e0 + m.rounded(m.apply(m.fps_out, hidden, count)));
    }
    e0 = e0.view({-1, 6, D});
    e_ = e_.defined() ? at::cat({e_, e}) : e;
    e0_ = e0_.defined() ? at::cat({e0_, e0}) : e0;
}

} // namespace mc::wan_dit
