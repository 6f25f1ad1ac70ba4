// SPDX-License-Identifier: LGPL-2.1-or-later
#include "engine/networks/wan_vae/plain_ops.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/_convolution.h>
#include <ATen/ops/_upsample_nearest_exact2d.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/constant_pad_nd.h>
#include <ATen/ops/linalg_vector_norm.h>
#include <ATen/ops/scaled_dot_product_attention.h>
#include <ATen/ops/silu.h>
#include <ATen/ops/zeros_like.h>
#include <cmath>

namespace mc::wan_vae {

// A frame is [1, C, 1, H, W].

namespace {

at::Tensor norm(const at::Tensor& gamma, const Frame& x) {
    const at::Tensor length = at::linalg_vector_norm(x, 2, at::IntArrayRef{1}, true).clamp_min(1e-12);
    return x / length * std::sqrt(static_cast<double>(x.size(1))) * gamma.view({1, -1, 1, 1, 1});
}

// Without TF32, which rounds float32 to 10 bits on CUDA and is on by default there.
at::Tensor convolution(const at::Tensor& x, const Conv& c, int64_t stride, at::IntArrayRef padding) {
    const std::vector<int64_t> ones(padding.size(), 1), zeros(padding.size(), 0),
        strides(padding.size(), stride);
    return at::_convolution(x, c.weight, c.bias, strides, padding, ones, false, zeros, 1, false, true, true,
                            false);
}

} // namespace

Frame PlainOps::load(const at::Tensor& picture) {
    return picture.unsqueeze(0).unsqueeze(2).contiguous();
}

at::Tensor PlainOps::view(const Frame& x) const {
    return x.select(2, 0).select(0, 0);
}

Frame PlainOps::norm_silu(const at::Tensor& gamma, const Frame& x) {
    return at::silu(norm(gamma, x));
}

Frame PlainOps::conv(const Conv& c, const FrameTaps& x, const at::Tensor& gamma) {
    cancel.check();
    const auto history = [&] {
        const at::Tensor zero = x.last.defined() ? at::Tensor() : at::zeros_like(x.now);
        const at::Tensor& last = x.last.defined() ? x.last : zero;
        return at::cat({x.older.defined() ? x.older : at::zeros_like(x.now), last, x.now}, 2);
    };
    at::Tensor out;
    switch (c.kernel) {
    case Kernel::CAUSAL:
        out = convolution(history(), c, 1, {0, 1, 1});
        break;
    case Kernel::TIME:
        out = convolution(history(), c, 1, {0, 0, 0});
        break;
    case Kernel::POINT: {
        Conv five = c; // attention's weights come as [out, in, 1, 1]
        five.weight = c.weight.view({c.out, c.in, 1, 1, 1});
        out = convolution(x.now, five, 1, {0, 0, 0});
        break;
    }
    case Kernel::DOUBLE: {
        const at::Tensor flat = x.now.squeeze(2);
        const at::Tensor big = at::_upsample_nearest_exact2d(flat, {2 * flat.size(2), 2 * flat.size(3)});
        out = convolution(big, c, 1, {1, 1}).unsqueeze(2);
        break;
    }
    case Kernel::HALVE:
        out = convolution(at::constant_pad_nd(x.now.squeeze(2), {0, 1, 0, 1}), c, 2, {0, 0}).unsqueeze(2);
        break;
    }
    flop += 2 * out.numel() * (c.weight.numel() / c.out);
    return gamma.defined() ? norm_silu(gamma, out) : out;
}

void PlainOps::add_attention(const AttentionWeights& a, Frame& onto) {
    const int64_t channels = onto.size(1), h = onto.size(3), w = onto.size(4);
    const Frame qkv = conv(a.qkv, {{}, {}, norm(a.norm, onto)});
    const std::vector<at::Tensor> parts = qkv.view({1, 1, 3 * channels, h * w}).transpose(2, 3).chunk(3, 3);
    const at::Tensor mixed = at::scaled_dot_product_attention(parts[0], parts[1], parts[2]);
    flop += 4 * h * w * h * w * channels;
    add_conv(a.proj, {{}, {}, mixed.transpose(2, 3).reshape({1, channels, 1, h, w})}, onto);
}

} // namespace mc::wan_vae
