// SPDX-License-Identifier: LGPL-2.1-or-later
#include "tests/golden/settings.h"

#include <ATen/ops/tensor.h>

namespace mc::golden {

skyreels_v2::Grid grid_of(const Json& settings) {
    const std::string name = settings.value("grid", "official");
    if (name == "official") return skyreels_v2::Grid::OFFICIAL;
    if (name == "diffusers_0_37") return skyreels_v2::Grid::DIFFUSERS_0_37;
    throw NotImplemented{"time grid " + name};
}

Attention attention_of(const Json& settings) {
    const std::string name = settings.value("attention", "bidirectional");
    if (name == "bidirectional") return Attention::FULL;
    if (name == "block_causal") return Attention::CAUSAL;
    if (name == "block_causal_kv_cache") return Attention::KV;
    throw NotImplemented{"attention " + name};
}

std::optional<LongVideo> long_video_of(const Json& settings) {
    const auto name = setting<std::string>(settings, "long_video_conditioning");
    if (!name) return {};
    if (*name == "pixel_reencode") return LongVideo::PIXEL;
    if (*name == "latent_reuse") return LongVideo::LATENT;
    throw NotImplemented{"long video by " + *name};
}

sampler::Image image_of(const at::Tensor& rgb) {
    const at::Tensor bytes = rgb.to(at::kCPU, at::kByte).contiguous();
    const uint8_t* data = bytes.const_data_ptr<uint8_t>();
    return {int(bytes.size(1)), int(bytes.size(0)), {data, data + bytes.numel()}};
}

at::Tensor tensor_of(const sampler::Image& image) {
    return at::tensor(image.rgb).view({image.height, image.width, 3});
}

} // namespace mc::golden
