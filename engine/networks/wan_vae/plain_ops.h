// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// The layers as the formulas say them, in ATen: what FastOps and DeviceOps are tested against.
#include "engine/networks/wan_vae/ops.h"

namespace mc::wan_vae {

class PlainOps final : public Ops {
  public:
    using Ops::conv;
    Frame load(const at::Tensor& picture) override;
    at::Tensor view(const Frame& x) const override;
    Frame norm_silu(const at::Tensor& gamma, const Frame& x) override;
    Frame conv(const Conv& c, const FrameTaps& x, const at::Tensor& gamma) override;
    void add_attention(const AttentionWeights& a, Frame& onto) override;
};

} // namespace mc::wan_vae
