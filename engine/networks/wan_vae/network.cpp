// SPDX-License-Identifier: LGPL-2.1-or-later
#include "engine/networks/wan_vae/network.h"

namespace mc::wan_vae {

namespace {

class Reader {
  public:
    Reader(const Weights& weights, at::ScalarType type, const std::function<Conv(const Conv&)>& prepare)
        : weights_(weights), type_(type), prepare_(prepare) {}

    at::Tensor get(const std::string& name, const std::vector<int64_t>& shape) {
        return weights_.get(name, shape, at::kFloat);
    }

    at::Tensor keep(const at::Tensor& t) {
        bytes_ += static_cast<int64_t>(t.nbytes());
        return t;
    }

    Conv finish(Kernel kernel, const at::Tensor& weight, const at::Tensor& bias) {
        Conv c{kernel, weight.size(1), weight.size(0), weight, bias};
        if (prepare_ && !c.weight.is_meta()) c = prepare_(c);
        keep(c.weight), keep(c.bias);
        return c;
    }

    Conv conv(const std::string& name, Kernel kernel, int64_t in, int64_t out, std::vector<int64_t> size) {
        size.insert(size.begin(), {out, in});
        return finish(kernel, get(name + ".weight", size), get(name + ".bias", {out}));
    }
    Conv causal(const std::string& name, int64_t in, int64_t out) {
        return conv(name, Kernel::CAUSAL, in, out, {3, 3, 3});
    }
    Conv point(const std::string& name, int64_t in, int64_t out) {
        return conv(name, Kernel::POINT, in, out, {1, 1, 1});
    }

    at::Tensor gamma(const std::string& name, int64_t channels) {
        return keep(get(name + ".gamma", {channels, 1, 1, 1}).flatten().to(type_));
    }

    Residual residual(const std::string& name, int64_t in, int64_t out) {
        Residual r;
        r.norm1 = gamma(name + ".norm1", in);
        r.conv1 = causal(name + ".conv1", in, out);
        r.norm2 = gamma(name + ".norm2", out);
        r.conv2 = causal(name + ".conv2", out, out);
        if (in != out) r.shortcut = point(name + ".conv_shortcut", in, out);
        return r;
    }

    Middle middle(const std::string& name, int64_t channels) {
        Middle m;
        m.first = residual(name + ".resnets.0", channels, channels);
        const std::string attention = name + ".attentions.0";
        m.attention.norm = keep(get(attention + ".norm.gamma", {channels, 1, 1}).flatten().to(type_));
        m.attention.qkv = conv(attention + ".to_qkv", Kernel::POINT, channels, 3 * channels, {1, 1});
        m.attention.proj = conv(attention + ".proj", Kernel::POINT, channels, channels, {1, 1});
        m.second = residual(name + ".resnets.1", channels, channels);
        return m;
    }

    // The time convolution of a decoder's upsampler makes two frames: its first half of channels is the even one.
    std::array<Conv, 2> split_time(const std::string& name, int64_t channels) {
        const at::Tensor weight = get(name + ".weight", {2 * channels, channels, 3, 1, 1});
        const at::Tensor bias = get(name + ".bias", {2 * channels});
        const auto half = [&](int64_t i) {
            return finish(Kernel::TIME, weight.narrow(0, i * channels, channels).clone(),
                          bias.narrow(0, i * channels, channels).clone());
        };
        return {half(0), half(1)};
    }

    int64_t bytes() const { return bytes_; }

  private:
    const Weights& weights_;
    const at::ScalarType type_;
    const std::function<Conv(const Conv&)>& prepare_;
    int64_t bytes_ = 0;
};

void check(const model::VaeConfig& c) {
    const auto fail = [](const std::string& what) {
        throw Error(MC_ERROR_READ,
                    "The VAE's config " + what + "; use the config.json that belongs to the weights.");
    };
    if (c.base < 1 || c.latent_channels < 1 || c.residual_blocks < 1) fail("has a size below 1");
    if (c.multipliers.size() < 2) fail("has fewer than two channel multipliers");
    for (int64_t m : c.multipliers)
        if (m < 1) fail("has a channel multiplier below 1");
    if (c.temporal_downsample.size() + 1 != c.multipliers.size())
        fail("does not say for every step between stages whether it halves time");
    const auto z = static_cast<size_t>(c.latent_channels);
    if (c.latents_mean.size() != z || c.latents_std.size() != z)
        fail("lacks a mean or deviation for some latent channel");
    for (float s : c.latents_std)
        if (!(s > 0)) fail("has a latent deviation that is not positive");
    int64_t space = 1, time = 1;
    for (size_t i = 0; i + 1 < c.multipliers.size(); i++) {
        space *= 2;
        if (c.temporal_downsample[i]) time *= 2;
        // An upsampler of the decoder halves the channels of the stage before it.
        if (c.base * c.multipliers[i + 1] % 2) fail("has an odd number of channels before an upsampler");
    }
    if (space != c.spatial_factor || time != c.temporal_factor)
        fail("contradicts itself about the compression");
}

} // namespace

Network read_network(const Weights& weights, const model::VaeConfig& config, at::ScalarType type,
                     const std::function<Conv(const Conv&)>& prepare) {
    check(config);
    Reader r(weights, type, prepare);
    const int64_t z = config.latent_channels;
    const size_t stages = config.multipliers.size();
    const auto width = [&](size_t i) { return config.base * config.multipliers[i]; };
    const int64_t widest = width(stages - 1);
    Network n;

    Encoder& e = n.encoder;
    e.in = r.causal("encoder.conv_in", 3, config.base);
    int64_t channels = config.base, flat = 0;
    for (size_t i = 0; i < stages; i++) {
        EncoderStage stage;
        const auto name = [&] { return "encoder.down_blocks." + std::to_string(flat++); };
        for (int64_t j = 0; j < config.residual_blocks; j++, channels = width(i))
            stage.blocks.push_back(r.residual(name(), channels, width(i)));
        if (i + 1 < stages) {
            const std::string down = name();
            stage.space = r.conv(down + ".resample.1", Kernel::HALVE, channels, channels, {3, 3});
            if (config.temporal_downsample[i])
                stage.time = r.conv(down + ".time_conv", Kernel::TIME, channels, channels, {3, 1, 1});
        }
        e.stages.push_back(std::move(stage));
    }
    e.middle = r.middle("encoder.mid_block", widest);
    e.norm = r.gamma("encoder.norm_out", widest);
    e.out = r.causal("encoder.conv_out", widest, 2 * z);
    e.quant = r.point("quant_conv", 2 * z, 2 * z);

    Decoder& d = n.decoder;
    d.post_quant = r.point("post_quant_conv", z, z);
    d.in = r.causal("decoder.conv_in", z, widest);
    d.middle = r.middle("decoder.mid_block", widest);
    channels = widest;
    for (size_t i = 0; i < stages; i++) {
        const std::string name = "decoder.up_blocks." + std::to_string(i);
        const int64_t wide = width(stages - 1 - i);
        DecoderStage stage;
        for (int64_t j = 0; j <= config.residual_blocks; j++, channels = wide)
            stage.blocks.push_back(r.residual(name + ".resnets." + std::to_string(j), channels, wide));
        if (i + 1 < stages) {
            const std::string up = name + ".upsamplers.0";
            if (config.temporal_downsample[stages - 2 - i])
                stage.time = r.split_time(up + ".time_conv", wide);
            stage.space = r.conv(up + ".resample.1", Kernel::DOUBLE, wide, wide / 2, {3, 3});
            channels = wide / 2;
        }
        d.stages.push_back(std::move(stage));
    }
    d.norm = r.gamma("decoder.norm_out", channels);
    d.out = r.causal("decoder.conv_out", channels, 3);

    n.bytes = r.bytes();
    return n;
}

} // namespace mc::wan_vae
