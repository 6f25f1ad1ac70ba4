// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// What the layers of the VAE compute, one frame at a time: everything before a frame that a layer needs is
// the two frames before it. PlainOps says it in ATen on any device, FastOps does it on the CPU, DeviceOps on others.
//
// Working frame by frame keeps the memory at a few frames per layer beside the state, and makes the result
// independent of how a video is cut into calls.
#include "engine/networks/wan_vae/network.h"

namespace mc::wan_vae {

// One picture between two layers, laid out as the Ops that made it likes.
using Frame = at::Tensor;

// What a causal convolution sees; undefined: zeros, before the beginning.
struct FrameTaps {
    Frame older, last, now;
};

class Ops {
  public:
    virtual ~Ops() = default;

    virtual Frame load(const at::Tensor& picture) = 0; // [C, H, W] float32
    virtual at::Tensor view(const Frame& x) const = 0; // [C, H, W], shares memory
    virtual Frame copy(const Frame& x) { return x.clone(); }

    // x / max(|x|, 1e-12) * sqrt(C) * gamma over the channels, then SiLU.
    virtual Frame norm_silu(const at::Tensor& gamma, const Frame& x) = 0;
    // POINT, DOUBLE and HALVE take `now` alone. With `gamma`: norm_silu of the result.
    virtual Frame conv(const Conv& c, const FrameTaps& x, const at::Tensor& gamma) = 0;
    Frame conv(const Conv& c, const FrameTaps& x) { return conv(c, x, {}); }
    virtual void add_conv(const Conv& c, const FrameTaps& x, Frame& onto) { onto = conv(c, x).add_(onto); }
    virtual void add_attention(const AttentionWeights& a, Frame& onto) = 0;

    int64_t flop = 0; // of convolutions and attention as run, two per multiply-add
    Cancel cancel;    // looked at before every layer
};

} // namespace mc::wan_vae
