// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// The VAE's layers and their weights (docs/algorithms.md#vae-layers). What a layer computes is in ops.h.
#include <ATen/core/Tensor.h>
#include <array>
#include <functional>
#include <optional>
#include <vector>

#include "engine/networks/wan_vae/config.h"
#include "engine/networks/weights.h"

namespace mc::wan_vae {

// The convolutions of this network by what they do to a frame.
enum class Kernel {
    CAUSAL, // 3x3x3, zero border: this frame and the two before it
    TIME,   // 3x1x1: in time only, this frame and the two before it
    POINT,  // 1x1x1
    DOUBLE, // nearest-neighbour doubling of height and width, then 3x3 with a zero border
    HALVE,  // 3x3 with stride 2, one row and one column of zeros below and to the right
};

struct Conv {
    Kernel kernel{};
    int64_t in = 0, out = 0;
    at::Tensor weight; // [out, in, t, h, w] ([out, in, h, w] for DOUBLE, HALVE), or as FastOps or DeviceOps take it
    at::Tensor bias;   // [out]
};

struct Residual {
    at::Tensor norm1, norm2; // [channels]
    Conv conv1, conv2;
    std::optional<Conv> shortcut;
};

struct AttentionWeights {
    at::Tensor norm; // [channels]
    Conv qkv, proj;
};

struct Middle {
    Residual first, second;
    AttentionWeights attention;
};

struct DecoderStage {
    std::vector<Residual> blocks;
    std::optional<std::array<Conv, 2>> time; // the even and the odd of the two frames that one becomes
    std::optional<Conv> space;
};

struct EncoderStage {
    std::vector<Residual> blocks;
    std::optional<Conv> space, time;
};

struct Encoder {
    Conv in;
    std::vector<EncoderStage> stages;
    Middle middle;
    at::Tensor norm; // [channels]
    Conv out, quant;
};

struct Decoder {
    Conv post_quant, in;
    Middle middle;
    std::vector<DecoderStage> stages;
    at::Tensor norm; // [channels]
    Conv out;
};

struct Network {
    Encoder encoder;
    Decoder decoder;
    int64_t bytes = 0;
};

// prepare: weights as the Ops take them, which a "meta" network never sees; gammas become of `type`. Throws
// MC_ERROR_READ for a tensor that is missing or of the wrong shape, and for a config that describes no such network.
Network read_network(const Weights& weights, const model::VaeConfig& config, at::ScalarType type,
                     const std::function<Conv(const Conv&)>& prepare);

} // namespace mc::wan_vae
