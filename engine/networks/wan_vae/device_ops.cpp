// SPDX-License-Identifier: LGPL-2.1-or-later
#include "engine/networks/wan_vae/device_ops.h"

#include <ATen/ops/_convolution.h>
#include <ATen/ops/_upsample_nearest_exact2d.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/constant_pad_nd.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/rms_norm.h>
#include <ATen/ops/scaled_dot_product_attention.h>
#include <ATen/ops/silu.h>
#include <ATen/ops/zeros_like.h>

namespace mc::wan_vae {

// A frame is [1, C, H, W] whose memory is [H, W, C].

namespace {

constexpr auto LAST = at::MemoryFormat::ChannelsLast;

at::Tensor pixels(const Frame& x) { // [1, H, W, C]
    return x.permute({0, 2, 3, 1});
}
Frame frame(const at::Tensor& pixels) {
    return pixels.permute({0, 3, 1, 2});
}

// x / max(|x|, 1e-12) * sqrt(C): the mean of the squares is |x|^2 / C. Where all are zero, zeros.
at::Tensor norm(const at::Tensor& gamma, const Frame& x) { // [1, H, W, C]
    return at::rms_norm(pixels(x), {x.size(1)}, gamma, 1e-24);
}

// Without TF32, which rounds float32 to 10 bits on CUDA and is on by default there.
at::Tensor convolution(const at::Tensor& x, const Conv& c, int64_t stride, int64_t padding) {
    return at::_convolution(x, c.weight, c.bias, {stride, stride}, {padding, padding}, {1, 1}, false, {0, 0}, 1,
                            false, true, true, false);
}

// [1, 3C, H, W]: the frame before the last one first.
Frame together(const FrameTaps& x) {
    const at::Tensor zero = x.older.defined() && x.last.defined() ? at::Tensor() : at::zeros_like(x.now);
    return at::cat({x.older.defined() ? x.older : zero, x.last.defined() ? x.last : zero, x.now}, 1);
}

} // namespace

Conv for_device(const Conv& c, at::ScalarType type) {
    Conv d = c;
    at::Tensor w = c.weight;
    if (w.dim() == 5) w = w.transpose(1, 2).reshape({c.out, w.size(2) * c.in, w.size(3), w.size(4)});
    d.weight = w.to(type).contiguous(LAST);
    d.bias = c.bias.to(type);
    return d;
}

Frame DeviceOps::load(const at::Tensor& picture) {
    return picture.unsqueeze(0).to(type_).contiguous(LAST);
}

at::Tensor DeviceOps::view(const Frame& x) const {
    return x.select(0, 0);
}

Frame DeviceOps::norm_silu(const at::Tensor& gamma, const Frame& x) {
    at::Tensor y = norm(gamma, x);
    return frame(at::silu_(y));
}

Frame DeviceOps::conv(const Conv& c, const FrameTaps& x, const at::Tensor& gamma) {
    cancel.check();
    Frame out;
    switch (c.kernel) {
    case Kernel::CAUSAL:
        out = convolution(together(x), c, 1, 1);
        break;
    case Kernel::TIME:
    case Kernel::POINT: { // a product of matrices
        const Frame in = c.kernel == Kernel::TIME ? together(x) : x.now;
        out = frame(at::linear(pixels(in), c.weight.flatten(1), c.bias));
        break;
    }
    case Kernel::DOUBLE:
        out = convolution(at::_upsample_nearest_exact2d(x.now, {2 * x.now.size(2), 2 * x.now.size(3)}), c, 1, 1);
        break;
    case Kernel::HALVE:
        out = convolution(at::constant_pad_nd(x.now, {0, 1, 0, 1}), c, 2, 0);
        break;
    }
    flop += 2 * out.numel() * (c.weight.numel() / c.out);
    return gamma.defined() ? norm_silu(gamma, out) : out;
}

void DeviceOps::add_attention(const AttentionWeights& a, Frame& onto) {
    const int64_t channels = onto.size(1), h = onto.size(2), w = onto.size(3);
    const Frame qkv = conv(a.qkv, {{}, {}, frame(norm(a.norm, onto))});
    const std::vector<at::Tensor> parts = pixels(qkv).reshape({1, 1, h * w, 3 * channels}).chunk(3, 3);
    const at::Tensor mixed = at::scaled_dot_product_attention(parts[0], parts[1], parts[2]);
    flop += 4 * h * w * h * w * channels;
    add_conv(a.proj, {{}, {}, frame(mixed.reshape({1, h, w, channels}))}, onto);
}

} // namespace mc::wan_vae
