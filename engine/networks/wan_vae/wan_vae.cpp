// SPDX-License-Identifier: LGPL-2.1-or-later
#include "engine/networks/wan_vae/wan_vae.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/tensor.h>
#include <c10/core/InferenceMode.h>

#include "engine/device.h"
#include "engine/networks/wan_vae/decoding.h"
#include "engine/networks/wan_vae/device_ops.h"
#include "engine/networks/wan_vae/encoding.h"
#include "engine/networks/wan_vae/fast_ops.h"
#include "engine/networks/wan_vae/plain_ops.h"

namespace mc::wan_vae {

namespace {

std::string text(at::IntArrayRef sizes) {
    std::string s = "[";
    for (size_t i = 0; i < sizes.size(); i++) s += (i ? ", " : "") + std::to_string(sizes[i]);
    return s + "]";
}

} // namespace

struct WanVae::Impl {
    model::VaeConfig config;
    at::Device device;
    Arithmetic way; // AUTO: FastOps
    at::ScalarType type;
    Network network;
    at::Tensor mean, inverse; // [z, 1, 1]; the reference divides by the reciprocal, which rounds otherwise

    Impl(const Weights& weights, const model::VaeConfig& c, Arithmetic a, Precision precision)
        : config(c), device(weights.device()), way(a),
          type(way == Arithmetic::DEVICE ? type_of(precision) : at::kFloat),
          network(read_network(weights, c, type, preparation())) {
        if (device.is_meta()) return;
        mean = upload(at::tensor(c.latents_mean).view({-1, 1, 1}), device);
        inverse = upload(at::tensor(c.latents_std).view({-1, 1, 1}).reciprocal(), device);
    }

    std::function<Conv(const Conv&)> preparation() const {
        if (way == Arithmetic::PLAIN) return {};
        if (way == Arithmetic::DEVICE) return [this](const Conv& c) { return for_device(c, type); };
        return [](const Conv& c) {
            Conv packed = c;
            packed.weight = pack(c);
            return packed;
        };
    }

    std::unique_ptr<Ops> ops() const {
        if (way == Arithmetic::PLAIN) return std::make_unique<PlainOps>();
        if (way == Arithmetic::DEVICE) return std::make_unique<DeviceOps>(type);
        return std::make_unique<FastOps>();
    }

    // `state` as FastOps takes it, `rest` beside it, and 2 % for small tensors. The others hold the same state, join a
    // window before its convolution and make every intermediate anew. On the CPU, with what oneDNN reorders for itself,
    // that was measured as up to 24 of the widest frames where channels stand apart, and where they stand together as
    // no more than FastOps takes. What cuDNN takes has not been measured.
    int64_t with_temporaries(int64_t state, int64_t rest, int64_t h, int64_t w) const {
        const int64_t element = static_cast<int64_t>(c10::elementSize(type)),
                      widest = element * config.base * h * w * config.spatial_factor * config.spatial_factor,
                      bytes = state * element / 4 + rest;
        return bytes + bytes / 50 + widest * (way == Arithmetic::AUTO ? 0 : way == Arithmetic::DEVICE ? 2 : 25);
    }
};

struct DecoderStream::Impl {
    const WanVae::Impl& vae;
    std::unique_ptr<Ops> ops;
    Decoding decoding;
    int64_t h = 0, w = 0;
    bool started = false, broken = false;

    explicit Impl(const WanVae::Impl& v) : vae(v), ops(v.ops()), decoding(v.network.decoder, *ops) {}
};

DecoderStream::DecoderStream(const WanVae& vae) : impl_(std::make_unique<Impl>(*vae.impl_)) {}
DecoderStream::~DecoderStream() = default;

at::Tensor DecoderStream::decode(const at::Tensor& latents, Cancel cancel, const Trace& trace) {
    c10::InferenceMode inference;
    Impl& s = *impl_;
    const model::VaeConfig& c = s.vae.config;
    if (s.broken)
        throw Error(MC_ERROR_INTERNAL, "The VAE's stream was cut off by an earlier error; start a new one.");
    if (latents.dim() != 4 || latents.size(0) != c.latent_channels || latents.numel() == 0)
        throw Error(MC_ERROR_SETTINGS, "The VAE decodes latents of shape [" +
                                           std::to_string(c.latent_channels) +
                                           ", frames, height, width], not " + text(latents.sizes()) + ".");
    const int64_t n = latents.size(1), h = latents.size(2), w = latents.size(3);
    if (s.started && (h != s.h || w != s.w))
        throw Error(MC_ERROR_SETTINGS, "The latents of a video cannot change from " + text({s.h, s.w}) +
                                           " to " + text({h, w}) + " in its middle; start a new stream.");
    const int64_t frames = n * c.temporal_factor - (s.started ? 0 : c.temporal_factor - 1);
    at::Tensor video = at::empty({3, frames, h * c.spatial_factor, w * c.spatial_factor},
                                 at::TensorOptions(at::kFloat).device(s.vae.device));
    s.h = h, s.w = w, s.started = true;
    s.ops->cancel = cancel;
    s.broken = true; // until all went well: a state with half a latent frame in it is of no use
    const at::Tensor in = latents.to(s.vae.device, at::kFloat);
    int64_t frame = 0;
    const auto sink = [&](const Frame& x) { video.select(1, frame++).copy_(s.ops->view(x)); };
    for (int64_t i = 0; i < n; i++)
        s.decoding.push(in.select(1, i) / s.vae.inverse + s.vae.mean, sink, trace);
    s.broken = false;
    return video;
}

std::vector<at::Tensor> DecoderStream::slots() const {
    c10::InferenceMode inference;
    return impl_->decoding.slots();
}

int64_t DecoderStream::flop() const {
    return impl_->ops->flop;
}

static Arithmetic way_on(at::Device device, Arithmetic asked) {
    return asked == Arithmetic::AUTO && !device.is_cpu() ? Arithmetic::DEVICE : asked;
}

WanVae::WanVae(const Weights& weights, const model::VaeConfig& config, Precision precision, Arithmetic arithmetic) {
    c10::InferenceMode inference;
    impl_ = std::make_unique<Impl>(weights, config, way_on(weights.device(), arithmetic), precision);
}
WanVae::WanVae(const model::Tensors& shapes, const model::VaeConfig& config, at::Device device, Precision precision) {
    c10::InferenceMode inference;
    impl_ = std::make_unique<Impl>(Weights(shapes, at::kMeta), config, way_on(device, Arithmetic::AUTO), precision);
}
int64_t WanVae::element_bytes(at::Device device, Precision precision) {
    return device.is_cpu() || precision == Precision::FLOAT32 ? 4 : 2;
}
WanVae::~WanVae() = default;

at::Tensor WanVae::encode(const at::Tensor& video, Cancel cancel, int64_t* flop) const {
    c10::InferenceMode inference;
    const model::VaeConfig& c = impl_->config;
    const int64_t s = c.spatial_factor;
    if (video.dim() != 4 || video.size(0) != 3 || video.numel() == 0 || video.size(2) % s ||
        video.size(3) % s)
        throw Error(MC_ERROR_SETTINGS,
                    "The VAE encodes videos of shape [3, frames, height, width] with sides that are "
                    "multiples of " +
                        std::to_string(s) + ", not " + text(video.sizes()) + ".");
    const int64_t latents = 1 + (video.size(1) - 1) / c.temporal_factor;
    const std::unique_ptr<Ops> ops = impl_->ops();
    ops->cancel = cancel;
    Encoding encoding(impl_->network.encoder, *ops);
    at::Tensor result = at::empty({c.latent_channels, latents, video.size(2) / s, video.size(3) / s},
                                  at::TensorOptions(at::kFloat).device(impl_->device));
    int64_t latent = 0;
    const auto sink = [&](const Frame& x) {
        const at::Tensor mode = ops->view(x).narrow(0, 0, c.latent_channels);
        result.select(1, latent++).copy_((mode - impl_->mean) * impl_->inverse);
    };
    // Devices take all of it at once: each copy is a wait.
    const at::Tensor in = video.device() == impl_->device ? video : upload(video, impl_->device);
    for (int64_t i = 0; i < 1 + (latents - 1) * c.temporal_factor; i++)
        encoding.push(in.select(1, i).to(at::kFloat), sink);
    if (flop) *flop += ops->flop;
    return result;
}

std::unique_ptr<DecoderStream> WanVae::decoder() const {
    return std::unique_ptr<DecoderStream>(new DecoderStream(*this));
}

int64_t WanVae::bytes() const {
    return impl_->network.bytes;
}

int64_t WanVae::decode_bytes(int64_t latent_frames, int64_t h, int64_t w) const {
    c10::InferenceMode inference;
    const model::VaeConfig& c = impl_->config;
    const int64_t s = c.spatial_factor;
    FastOps ops(true);
    Decoding decoding(impl_->network.decoder, ops);
    // The state is full with the third latent frame, and the fourth is the first to see all of it.
    for (int i = 0; i < 4; i++)
        decoding.push(at::empty({c.latent_channels, h, w}, at::TensorOptions(at::kFloat).device(at::kMeta)),
                      [](const Frame&) {}, {});
    const int64_t result = 4 * 3 * latent_frames * c.temporal_factor * h * w * s * s;
    const int64_t latents = 4 * c.latent_channels * h * w * 3;
    return impl_->with_temporaries(ops.bytes(), result + latents, h, w);
}

int64_t WanVae::encode_bytes(int64_t frames, int64_t h, int64_t w) const {
    c10::InferenceMode inference;
    const model::VaeConfig& c = impl_->config;
    const int64_t s = c.spatial_factor, latents = 1 + (frames - 1) / c.temporal_factor;
    FastOps ops(true);
    Encoding encoding(impl_->network.encoder, ops);
    const at::Tensor picture = at::empty({3, h * s, w * s}, at::TensorOptions(at::kFloat).device(at::kMeta));
    for (int64_t i = 0; i < std::min<int64_t>(1 + (latents - 1) * c.temporal_factor, 13); i++)
        encoding.push(picture, [](const Frame&) {});
    const int64_t result = 4 * c.latent_channels * h * w * (latents + 2);
    return impl_->with_temporaries(ops.bytes(), result, h, w);
}

const model::VaeConfig& WanVae::config() const {
    return impl_->config;
}

} // namespace mc::wan_vae
