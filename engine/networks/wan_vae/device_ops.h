// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// The layers as devices compute them fastest: frames whose channels stand together, in bfloat16 or float32, and a
// convolution in time and space as one in space alone over the channels of three frames.
#include "engine/networks/wan_vae/ops.h"

namespace mc::wan_vae {

// Weight and bias of `c`, as DeviceOps takes them: [out, frames * in, h, w], channels last.
Conv for_device(const Conv& c, at::ScalarType type);

class DeviceOps final : public Ops {
  public:
    // type: bfloat16 or float32, that of the weights.
    explicit DeviceOps(at::ScalarType type) : type_(type) {}
    using Ops::conv;
    Frame load(const at::Tensor& picture) override;
    at::Tensor view(const Frame& x) const override;
    Frame norm_silu(const at::Tensor& gamma, const Frame& x) override;
    Frame conv(const Conv& c, const FrameTaps& x, const at::Tensor& gamma) override;
    void add_attention(const AttentionWeights& a, Frame& onto) override;

  private:
    const at::ScalarType type_;
};

} // namespace mc::wan_vae
