// SPDX-License-Identifier: LGPL-2.1-or-later
#include "engine/networks/wan_vae/blocks.h"

namespace mc::wan_vae {

Frame residual(Ops& ops, const Residual& r, ResidualState& state, Frame x) {
    Frame inner = ops.conv(r.conv1, state[0].push(ops.norm_silu(r.norm1, x)), r.norm2);
    if (r.shortcut) x = ops.conv(*r.shortcut, {{}, {}, x});
    ops.add_conv(r.conv2, state[1].push(std::move(inner)), x);
    return x;
}

Frame middle(Ops& ops, const Middle& m, MiddleState& state, Frame x) {
    x = residual(ops, m.first, state[0], std::move(x));
    ops.add_attention(m.attention, x);
    return residual(ops, m.second, state[1], std::move(x));
}

} // namespace mc::wan_vae
