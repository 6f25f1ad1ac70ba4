// SPDX-License-Identifier: LGPL-2.1-or-later
#include "engine/networks/magi_dit/network.h"

#include <ATen/ATen.h>
#include <algorithm>
#include <c10/core/InferenceMode.h>
#include <cmath>
#include <tuple>

#include "engine/device.h"
#include "engine/networks/magi_dit/times.h"

namespace mc::magi_dit {

using kernels::Store;

namespace {

constexpr int64_t MIXED_GROUPS = 8; // in which the outputs of both attentions take turns

class Loader {
  public:
    Loader(const Weights& weights, Network::Impl& m)
        : w_(weights), m_(m), kept_(type_of(m.precision)) {}

    // float32 in every precision, as published: what lies outside the layers.
    Linear outside(const std::string& name, int64_t out, int64_t in) const {
        return Linear(w_.get(name + ".weight", {out, in}, at::kFloat),
                      w_.get(name + ".bias", {out}, at::kFloat), by_rows(), Store::F32, m_.arena);
    }
    Linear outside_by_rows(const at::Tensor& weight) const {
        return Linear(weight, {}, by_rows(), Store::F32, m_.arena);
    }
    Linear of_text(const std::string& name, int64_t out, int64_t in) const {
        return Linear(w_.get(name + ".weight", {out, in}, kept_), {}, Linear::Layout::PLAIN, m_.store,
                      m_.arena);
    }
    Linear of_conditions(const std::string& name, int64_t out, int64_t in) const {
        return Linear(w_.get(name + ".weight", {out, in}, kept_),
                      w_.get(name + ".bias", {out}, kept_).to(at::kFloat), by_rows(), m_.store, m_.arena);
    }
    Product product(const std::string& name, int64_t out, int64_t in, bool mixed = false) const {
        const Stored stored = read(name, out, in);
        return mixed ? made({unmixed(stored.weight),
                             stored.scale.defined() ? unmixed(stored.scale) : stored.scale,
                             stored.output_scale})
                     : made(stored);
    }
    // One that is stored as the first outs and the last ones of a tensor.
    std::pair<Product, Product> halves(const std::string& name, int64_t out, int64_t in) const {
        const Stored stored = read(name, 2 * out, in);
        const auto half = [&](int64_t first) {
            return made({stored.weight.narrow(0, first, out).clone(), stored.scale, stored.output_scale});
        };
        return {half(0), half(out)};
    }
    // one: the file keeps weight - 1. kept: weight and bias are of the precision.
    NormWeights norm(const std::string& name, int64_t width, bool one, bool kept) const {
        const at::ScalarType type = kept ? kept_ : at::kFloat;
        const at::Tensor weight = w_.get(name + ".weight", {width}, type);
        return {(one ? weight + 1 : weight).to(at::kFloat),
                w_.get(name + ".bias", {width}, type).to(at::kFloat)};
    }

  private:
    Linear::Layout by_rows() const {
        return m_.device.is_cpu() ? Linear::Layout::PACKED : Linear::Layout::PLAIN;
    }
    struct Stored {
        at::Tensor weight, scale; // scale: [in], undefined where the weight is not of eight bits
        float output_scale = 1;
    };
    Stored read(const std::string& name, int64_t out, int64_t in) const {
        if (!w_.has(name + ".weight_scale")) return {w_.get(name + ".weight", {out, in}, kept_), {}};
        Stored stored{w_.get(name + ".weight", {1, out, in}, kept_).view({out, in}), {}};
        if (!at::isfinite(stored.weight).all().item<bool>())
            refuse(name + ".weight", "numbers that are none");
        const bool smoothed = w_.has(name + ".smooth_scale");
        const at::Tensor input = scale(name + ".input_scale", {smoothed ? 1 : in});
        stored.scale = smoothed ? scale(name + ".smooth_scale", {1, in}).view({in}) : input;
        stored.output_scale = input[0].item<float>() * scale(name + ".weight_scale", {1})[0].item<float>();
        return stored;
    }
    Product made(const Stored& stored) const {
        return {Linear(stored.weight, {}, by_rows(), m_.store, m_.arena), stored.scale, stored.output_scale};
    }
    at::Tensor scale(const std::string& name, const std::vector<int64_t>& shape) const {
        at::Tensor t = w_.get(name, shape, at::kFloat);
        if (!(at::isfinite(t).all().item<bool>() && (t > 0).all().item<bool>()))
            refuse(name, "a scale that is zero or no positive number");
        return t;
    }
    [[noreturn]] static void refuse(const std::string& name, const std::string& what) {
        throw Error(MC_ERROR_READ, "The weights of eight bits cannot be used: tensor \"" + name +
                                       "\" holds " + what + "; download the model again.");
    }
    // Along the last side: from both attentions' channels in turns to one attention's after the other's.
    static at::Tensor unmixed(const at::Tensor& t) {
        const int64_t out = t.dim() == 2 ? t.size(0) : 1, part = t.size(-1) / (2 * MIXED_GROUPS);
        return t.view({out, MIXED_GROUPS, 2, part}).permute({0, 2, 1, 3}).reshape(t.sizes());
    }

    const Weights& w_;
    Network::Impl& m_;
    const at::ScalarType kept_;
};

Layer load_layer(const Loader& load, const model::MagiDitConfig& c, int64_t index) {
    const std::string layer = "videodit_blocks.layers." + std::to_string(index) + ".",
                      attention = layer + "self_attention.", qkv = attention + "linear_qkv.";
    const int64_t D = c.width, keys = c.groups * c.head();
    Layer l;
    l.norm = load.norm(qkv + "layer_norm", D, false, true);
    l.q = load.product(qkv + "q", D, D);
    l.k = load.product(qkv + "k", keys, D);
    l.v = load.product(qkv + "v", keys, D);
    l.qx = load.product(qkv + "qx", D, D);
    l.proj = load.product(attention + "linear_proj", D, 2 * D, true);
    l.kv_text = load.of_text(attention + "linear_kv_xattn", 2 * keys, D);
    l.q_norm = load.norm(attention + "q_layernorm", c.head(), true, false);
    l.k_norm = load.norm(attention + "k_layernorm", c.head(), true, false);
    l.qx_norm = load.norm(attention + "q_layernorm_xattn", c.head(), true, true);
    l.kx_norm = load.norm(attention + "k_layernorm_xattn", c.head(), true, true);
    l.gates = load.of_conditions(layer + "ada_modulate_layer.proj.0", 2 * D, c.condition);
    l.attention_post = load.norm(layer + "self_attn_post_norm", D, true, false);
    l.mlp_norm = load.norm(layer + "mlp.layer_norm", D, false, true);
    l.mlp_post = load.norm(layer + "mlp_post_norm", D, true, false);
    if (c.gated)
        std::tie(l.fc1, l.fc1_gate) = load.halves(layer + "mlp.linear_fc1", c.ffn, D);
    else
        l.fc1 = load.product(layer + "mlp.linear_fc1", c.ffn, D);
    l.fc2 = load.product(layer + "mlp.linear_fc2", D, c.ffn);
    return l;
}

} // namespace

std::vector<at::Tensor*> tensors_of_forward(Layer& l) {
    std::vector<at::Tensor*> list;
    for (Linear* w : {&l.q.linear, &l.k.linear, &l.v.linear, &l.qx.linear, &l.proj.linear, &l.fc1.linear,
                      &l.fc1_gate.linear, &l.fc2.linear, &l.gates})
        for (at::Tensor* t : w->tensors()) list.push_back(t);
    return list;
}

at::Tensor rounded_to_e4m3(const at::Tensor& x, const at::Tensor& scale) {
    return (x / scale).clamp(-448, 448).to(at::kBFloat16).to(at::kFloat8_e4m3fn).to(at::kFloat);
}

at::Tensor Network::Impl::apply(const Linear& linear, const at::Tensor& x, CallCount* count) const {
    if (count) count->add({Call::GEMM, x.size(0), linear.out(), linear.in(), 0});
    // Sums are float32 with operands of any type, and not rounded: a product of bfloat16 numbers is exact in float32.
    const at::Tensor y = at::mm(x, linear.weight().to(at::kFloat).t());
    return linear.bias().defined() ? y + linear.bias() : y;
}

at::Tensor Network::Impl::apply(const Product& product, const at::Tensor& x, CallCount* count) const {
    if (!product.eight_bits()) return apply(product.linear, x, count);
    return rounded(apply(product.linear, rounded_to_e4m3(x, product.input_scale), count) *
                   product.output_scale);
}

at::Tensor Network::Impl::apply_by_rows(const Linear& linear, const at::Tensor& x, CallCount* count) const {
    if (!device.is_cpu()) return apply(linear, x, count);
    if (count) count->add({Call::GEMM, x.size(0), linear.out(), linear.in(), 0});
    const at::Tensor rows = x.to(networks::type_of(linear.store())).contiguous(),
                     y = at::empty({x.size(0), linear.out()}, at::kFloat);
    linear.rows(linear.whole(), rows.const_data_ptr(), linear.in(), rows.size(0), y.mutable_data_ptr<float>(),
                linear.out());
    return y;
}

at::Tensor Network::Impl::normed(const NormWeights& norm, const at::Tensor& x) const {
    return at::layer_norm(x, {x.size(-1)}, norm.weight, norm.bias, config.eps);
}

at::Tensor Network::Impl::conditions(std::span<const Work> work, CallCount* count) const {
    std::vector<float> times, sizes;
    std::vector<int64_t> mode;
    for (const Work& w : work) {
        times.push_back(w.t);
        sizes.push_back(w.step_size);
        mode.push_back(w.drop);
    }
    const auto embedded = [&](const std::vector<float>& values) {
        const at::Tensor s = upload(rounded(sinusoids(at::tensor(values))), device);
        return apply_by_rows(time_out, at::silu(apply_by_rows(time_in, s, count)), count);
    };
    at::Tensor time = embedded(times);
    if (config.distilled) time = time + embedded(sizes);
    return rounded(time + modes.index_select(0, upload(at::tensor(mode), device)));
}

at::Tensor Network::Impl::gates(const Layer& layer, const at::Tensor& conditions, CallCount* count) const {
    const at::Tensor g = rounded(apply_by_rows(layer.gates, rounded(at::silu(conditions)), count));
    return rounded(at::tanh(g)).view({conditions.size(0), 2, config.width});
}

at::Tensor Network::Impl::embedded_text(const at::Tensor& rows, CallCount* count) const {
    return rounded(at::silu(apply(caption_text, rows.to(device, at::kFloat), count)));
}

kernels::KeyValues Network::Impl::text_keys(const Text& text, size_t layer) const {
    return {const_cast<void*>(text.layers[layer].packed.const_data_ptr()), static_cast<size_t>(text.rows),
            static_cast<size_t>(config.groups), static_cast<size_t>(config.head()), store};
}

std::shared_ptr<const Text> Network::Impl::text_of(const at::Tensor& embedded, Cancel cancel,
                                                   CallCount& count) const {
    auto text = std::make_shared<Text>();
    text->rows = embedded.size(0);
    const int64_t head = config.head(), keys = config.groups * head;
    const auto lock = streamed.looking();
    for (size_t i = 0; i < layers.size() && text->rows; i++) {
        cancel.check();
        const Linear& kv_text = layers[i].kv_text;
        const at::Tensor kv = rounded(apply(streamed.out(i) ? kv_text.on(device) : kv_text, embedded, &count))
                                  .view({text->rows, config.groups, 2 * head});
        const at::Tensor k = rounded(normed(layers[i].kx_norm, kv.narrow(2, 0, head))),
                         v = kv.narrow(2, head, head).contiguous();
        Text::Keys made{k.to(type()).contiguous(), v.to(type()), {}};
        if (device.is_cpu()) {
            const auto bytes = kernels::key_value_bytes(text->rows, config.groups, head, store);
            made.packed = huge_zeros({static_cast<int64_t>(bytes)}, at::kByte);
            text->layers.push_back(made);
            kernels::write_keys(text_keys(*text, i), nullptr, 0, made.k.const_data_ptr(), keys,
                                v.const_data_ptr<float>(), keys, text->rows);
        } else {
            text->layers.push_back(std::move(made));
        }
    }
    text->flop = count.flop();
    return text;
}

Network::Network(const Weights& w, const model::MagiDitConfig& c, Precision precision,
                 std::optional<kernels::Store> store, int64_t streamed)
    : impl_(std::make_unique<Impl>()) {
    c10::InferenceMode guard;
    Impl& m = *impl_;
    static_cast<networks::Numerics&>(m) = networks::Numerics(w, precision, store);
    m.config = c;
    const Loader load(w, m);
    const int64_t D = c.width, latents = c.latent_channels();
    m.patch = load.outside_by_rows(
        w.get("x_embedder.weight", {D, c.in_channels, 1, 2, 2}, at::kFloat).view({D, c.in_channels * 4}));
    m.time_in = load.outside("t_embedder.mlp.0", c.condition, 256);
    m.time_out = load.outside("t_embedder.mlp.2", c.condition, c.condition);
    m.caption_text = load.outside("y_embedder.y_proj_xattn.0", D, c.text_width);
    m.caption_mode = load.outside("y_embedder.y_proj_adaln.0", c.condition, c.text_width);
    m.null_caption = w.get("y_embedder.null_caption_embedding", {c.text_rows, c.text_width}, at::kFloat);
    // Its last two rows stand for whether there is a caption, whatever it says.
    m.modes = m.apply(m.caption_mode, m.null_caption.narrow(0, c.text_rows - 2, 2), nullptr);
    m.bands = w.get("rope.bands", {c.bands()}, at::kFloat);
    m.streamed.begin(m.device, c.layers);
    const std::vector<size_t> out = networks::StreamedLayers::order(c.layers);
    const auto out_end = out.begin() + std::min(streamed, c.layers);
    for (int64_t i = 0; i < c.layers; i++) {
        const auto index = static_cast<size_t>(i);
        m.layers.push_back(load_layer(load, c, i));
        if (std::find(out.begin(), out_end, index) != out_end) m.move_out(index);
    }
    m.final_norm = load.norm("videodit_blocks.final_layernorm", D, true, false);
    // Of doubled latents, the first half of the outs of each place counts.
    const at::Tensor head = w.get("final_linear.linear.weight", {c.out_channels * 4, D}, at::kFloat);
    m.head = load.outside_by_rows(
        head.view({4, c.out_channels, D}).narrow(1, 0, latents).reshape({4 * latents, D}));
    m.streamed.make_buffers();
}

Network::~Network() = default;
const model::MagiDitConfig& Network::config() const {
    return impl_->config;
}
const at::Tensor& Network::null_caption() const {
    return impl_->null_caption;
}
const Network::Impl& Network::inside() const {
    return *impl_;
}

void Network::Impl::move_out(size_t index) {
    Layer& l = layers[index];
    Linear text = l.kv_text.on(at::kCPU);
    streamed.move_out(index, tensors_of_forward(l)); // the last that can fail
    l.kv_text = std::move(text);
}

void Network::stream(int64_t layers) {
    c10::InferenceMode guard;
    impl_->streamed.move(layers, [&](size_t layer) { impl_->move_out(layer); });
}

int64_t Network::streamed() const {
    const auto lock = impl_->streamed.looking();
    return impl_->streamed.count();
}

int64_t Network::streamed_bytes() const {
    const auto lock = impl_->streamed.looking();
    int64_t sum = impl_->streamed.bytes();
    for (size_t i = 0; i < impl_->layers.size(); i++)
        if (impl_->streamed.out(i)) sum += impl_->layers[i].kv_text.bytes();
    return sum;
}

networks::LayerBytes Network::layer_bytes(const model::MagiDitConfig& c, Precision precision) {
    const int64_t element = precision == Precision::FLOAT32 ? 4 : 2, D = c.width, keys = c.groups * c.head();
    const auto matrix = [&](int64_t out, int64_t in) { return networks::Packing::aligned(out * in * element); };
    const auto packed = [](int64_t bytes) { return networks::Packing::aligned(bytes); };
    return {2 * matrix(D, D) + 2 * matrix(keys, D) + matrix(D, 2 * D) + (c.gated ? 2 : 1) * matrix(c.ffn, D) +
                matrix(D, c.ffn) + matrix(2 * D, c.condition) + packed(2 * D * 4) + packed(2 * D * element),
            2 * keys * D * element};
}

int64_t Network::bytes() const {
    const Impl& m = *impl_;
    const auto lock = m.streamed.looking();
    const auto of_norm = [](const NormWeights& n) {
        return static_cast<int64_t>(n.weight.nbytes() + n.bias.nbytes());
    };
    int64_t sum =
        static_cast<int64_t>(m.null_caption.nbytes() + m.modes.nbytes() + m.bands.nbytes()) + of_norm(m.final_norm) +
        m.streamed.buffer_bytes();
    for (const Linear* l : {&m.patch, &m.time_in, &m.time_out, &m.caption_text, &m.caption_mode, &m.head})
        sum += l->bytes();
    for (size_t i = 0; i < m.layers.size(); i++) {
        const Layer& l = m.layers[i];
        for (const Product* p : {&l.q, &l.k, &l.v, &l.qx, &l.proj, &l.fc1, &l.fc1_gate, &l.fc2})
            if (p->linear.out()) sum += p->bytes(); // a network that is not gated has no gate
        for (const NormWeights* n : {&l.norm, &l.q_norm, &l.k_norm, &l.qx_norm, &l.kx_norm, &l.attention_post,
                                     &l.mlp_norm, &l.mlp_post})
            sum += of_norm(*n);
        sum += (m.streamed.out(i) ? 0 : l.kv_text.bytes()) + l.gates.bytes();
    }
    return sum;
}

std::shared_ptr<const Text> Network::text(const at::Tensor& rows, Cancel cancel, const Trace& trace) const {
    c10::InferenceMode guard;
    const Impl& m = *impl_;
    if (rows.dim() != 2 || rows.size(0) > m.config.text_rows || rows.size(1) != m.config.text_width)
        throw Error(MC_ERROR_INTERNAL, "Rows of text do not fit the transformer; please report this.");
    CallCount count;
    const at::Tensor embedded = m.embedded_text(rows, &count);
    if (trace) trace("text", embedded);
    return m.text_of(embedded, cancel, count);
}

} // namespace mc::magi_dit
