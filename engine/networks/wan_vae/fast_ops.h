// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// The CPU's way: channels-last frames with a border of zeros, from a pool, and one convolution kernel
// (kernels/conv.h) that reads them where they lie. Doubling is folded into its convolution: each output of
// the 3x3 on the doubled picture sees 2x2 pixels of the small one, with the weights that fall on the same
// pixel summed.
#include <map>

#include "engine/networks/wan_vae/ops.h"

namespace mc::wan_vae {

// The weight of `c`, in the order in which the kernel walks it.
at::Tensor pack(const Conv& c);

class FastOps final : public Ops {
  public:
    // measure: neither allocates nor computes, but counts flop and bytes as if it did.
    explicit FastOps(bool measure = false) : measure_(measure) {}
    using Ops::conv;

    Frame load(const at::Tensor& picture) override;
    at::Tensor view(const Frame& x) const override;
    Frame copy(const Frame& x) override;
    Frame norm_silu(const at::Tensor& gamma, const Frame& x) override;
    Frame conv(const Conv& c, const FrameTaps& x, const at::Tensor& gamma) override;
    void add_conv(const Conv& c, const FrameTaps& x, Frame& onto) override;
    void add_attention(const AttentionWeights& a, Frame& onto) override;

    int64_t bytes() const { return pool_bytes_ + scratch_bytes_; } // the most held at once

  private:
    using Sizes = std::array<int64_t, 3>;
    // A block that only the pool holds is free. New ones are zero; a frame's border is never written.
    at::Tensor take(const Sizes& sizes);
    Frame take_frame(int64_t height, int64_t width, int64_t channels); // [height + 2, width + 2, channels]
    const Frame& zero_frame(const Frame& like);
    void give_back_zeros(const Frame& like);
    void run(const Conv& c, const FrameTaps& x, const Frame& out, bool add, const at::Tensor& gamma);

    bool measure_;
    std::map<Sizes, std::vector<at::Tensor>> pool_;
    std::map<Sizes, Frame> zeros_;
    int64_t pool_bytes_ = 0, scratch_bytes_ = 0;
};

} // namespace mc::wan_vae
