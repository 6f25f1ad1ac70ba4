// SPDX-License-Identifier: LGPL-2.1-or-later
#include "engine/networks/wan_dit/transformer.h"

#include <ATen/ATen.h>
#include <algorithm>
#include <c10/core/InferenceMode.h>
#include <cmath>

#include "engine/device.h"
#include "engine/networks/wan_dit/layers.h"

namespace mc::wan_dit {

at::Tensor Transformer::Impl::apply(const networks::Linear& linear, const at::Tensor& x,
                                    networks::CallCount* count) const {
    if (count) count->add({networks::Call::GEMM, x.size(0), linear.out(), linear.in(), 0});
    at::Tensor weight = linear.weight();
    // Float32 weights belong to the parts that are float32 in every precision.
    at::Tensor in = weight.scalar_type() == at::kFloat ? x : rounded(x).to(type());
    return at::mm(in, weight.to(in.scalar_type()).t()).to(at::kFloat).add_(linear.bias());
}

kernels::KeyValues Transformer::Impl::key_values(const at::Tensor& memory, int64_t capacity, int64_t heads) const {
    return {const_cast<void*>(memory.const_data_ptr()), static_cast<size_t>(capacity),
            static_cast<size_t>(heads), static_cast<size_t>(config.head()), store};
}

int64_t Transformer::Impl::key_value_bytes(int64_t capacity, int64_t heads) const {
    return static_cast<int64_t>(kernels::key_value_bytes(capacity, heads, config.head(), store));
}

static Layer load_layer(const Weights& w, Transformer::Impl& m, int64_t index) {
    const auto& c = m.config;
    const Precision precision = m.precision;
    std::string p = "blocks." + std::to_string(index) + ".";
    int64_t D = c.width;
    auto linear = [&](const std::string& name, int64_t out, int64_t in) {
        return networks::Linear::load(w, {p + name}, out, in, precision, networks::Linear::Layout::PACKED,
                                      m.store, m.arena, m.in_bytes);
    };
    // Gains of the q and k norms are rounded with the other weights; norms and modulation stay float32.
    auto gain = [&](const std::string& name) {
        return m.rounded(w.get(p + name, {D}, at::kFloat));
    };
    Layer l;
    l.modulation = w.get(p + "scale_shift_table", {1, 6, D}, at::kFloat).view({6, D});
    if (m.device.is_cpu()) {
        l.self_q = linear("attn1.to_q", D, D);
        l.self_k = linear("attn1.to_k", D, D);
        l.self_v = linear("attn1.to_v", D, D);
    } else {
        l.self_qkv =
            networks::Linear::load(w, {p + "attn1.to_q", p + "attn1.to_k", p + "attn1.to_v"}, D, D, precision,
                                   networks::Linear::Layout::PLAIN, m.store, m.arena, m.in_bytes);
        l.self_q = l.self_qkv.part(0, D), l.self_k = l.self_qkv.part(D, D), l.self_v = l.self_qkv.part(2 * D, D);
    }
    l.self_out = linear("attn1.to_out.0", D, D);
    l.self_norm_q = gain("attn1.norm_q.weight");
    l.self_norm_k = gain("attn1.norm_k.weight");
    l.norm3_weight = w.get(p + "norm2.weight", {D}, at::kFloat);
    l.norm3_bias = w.get(p + "norm2.bias", {D}, at::kFloat);
    l.cross_q = linear("attn2.to_q", D, D);
    l.cross_kv = networks::Linear::load(w, {p + "attn2.to_k", p + "attn2.to_v"}, D, D, precision,
                                        networks::Linear::Layout::PLAIN, m.store, m.arena, m.in_bytes);
    l.cross_out = linear("attn2.to_out.0", D, D);
    l.cross_norm_q = gain("attn2.norm_q.weight");
    l.cross_norm_k = gain("attn2.norm_k.weight");
    l.ffn_in = linear("ffn.net.0.proj", c.ffn, D);
    l.ffn_out = linear("ffn.net.2", D, c.ffn);
    return l;
}

std::vector<at::Tensor*> tensors_of_forward(Layer& l) {
    std::vector<at::Tensor*> list;
    for (networks::Linear* w : {&l.self_qkv, &l.self_out, &l.cross_q, &l.cross_out, &l.ffn_in, &l.ffn_out})
        for (at::Tensor* t : w->tensors()) list.push_back(t);
    for (at::Tensor* t : {&l.self_norm_q, &l.self_norm_k, &l.norm3_weight, &l.norm3_bias, &l.cross_norm_q})
        list.push_back(t);
    return list;
}

void Transformer::Impl::move_out(size_t index) {
    Layer& l = layers[index];
    networks::Linear text = l.cross_kv.on(at::kCPU);
    streamed.move_out(index, tensors_of_forward(l)); // the last that can fail
    l.self_q = l.self_k = l.self_v = {};
    l.cross_kv = std::move(text);
}

void Transformer::stream(int64_t layers) {
    c10::InferenceMode guard;
    impl_->streamed.move(layers, [&](size_t layer) { impl_->move_out(layer); });
}

int64_t Transformer::streamed() const {
    const auto lock = impl_->streamed.looking();
    return impl_->streamed.count();
}
int64_t Transformer::streamed_bytes() const {
    const auto lock = impl_->streamed.looking();
    int64_t sum = impl_->streamed.bytes();
    for (size_t i = 0; i < impl_->layers.size(); i++)
        if (impl_->streamed.out(i))
            for (const at::Tensor* t : impl_->layers[i].cross_kv.tensors()) sum += static_cast<int64_t>(t->nbytes());
    return sum;
}

networks::LayerBytes Transformer::layer_bytes(const model::TransformerConfig& c, Precision precision, bool in_bytes) {
    const int64_t element = precision == Precision::FLOAT32 ? 4 : 2, D = c.width;
    // Matrix, bias in float32 and as stored, and a scale for each row.
    const auto linear = [&](int64_t out, int64_t in, auto place) {
        return place(out * in * (in_bytes ? 1 : element)) + place(4 * out) + place(element * out) +
               (in_bytes ? place(4 * out) : 0);
    };
    const auto packed = [](int64_t bytes) { return networks::Packing::aligned(bytes); };
    return {linear(3 * D, D, packed) + 3 * linear(D, D, packed) + linear(c.ffn, D, packed) +
                linear(D, c.ffn, packed) + 5 * packed(4 * D),
            linear(2 * D, D, [](int64_t bytes) { return bytes; })};
}

Transformer::Transformer(const Weights& w, const model::TransformerConfig& c, Precision precision,
                         std::optional<kernels::Store> store, bool in_bytes, int64_t streamed)
    : impl_(std::make_unique<Impl>()) {
    c10::InferenceMode guard;
    Impl& m = *impl_;
    static_cast<networks::Numerics&>(m) = networks::Numerics(w, precision, store);
    m.config = c;
    m.in_bytes = in_bytes;
    int64_t D = c.width, patch = c.patch[0] * c.patch[1] * c.patch[2];
    const at::ScalarType type = type_of(precision);

    const auto rows = m.device.is_cpu() ? networks::Linear::Layout::PACKED : networks::Linear::Layout::PLAIN;
    m.patch = networks::Linear(
        w.get("patch_embedding.weight", {D, c.in_channels, c.patch[0], c.patch[1], c.patch[2]}, type)
            .view({D, c.in_channels * patch}),
        w.get("patch_embedding.bias", {D}, type).to(at::kFloat), rows, m.store, m.arena);
    const std::string ce = "condition_embedder.";
    auto plain = [&](const std::string& name, int64_t out, int64_t in, Precision kept) {
        return networks::Linear::load(w, {name}, out, in, kept, networks::Linear::Layout::PLAIN, m.store,
                                      m.arena);
    };
    m.text_in = plain(ce + "text_embedder.linear_1", D, c.text_width, precision);
    m.text_out = plain(ce + "text_embedder.linear_2", D, D, precision);
    m.time_in = plain(ce + "time_embedder.linear_1", D, c.frequencies, Precision::FLOAT32);
    m.time_out = plain(ce + "time_embedder.linear_2", D, D, Precision::FLOAT32);
    m.time_proj = plain(ce + "time_proj", 6 * D, D, precision);
    if (c.fps_embedding) {
        m.fps_embedding = w.get("fps_embedding.weight", {2, D}, type).to(at::kFloat);
        m.fps_in = plain("fps_projection.net.0.proj", D, D, precision);
        m.fps_out = plain("fps_projection.net.2", 6 * D, D, precision);
    }
    m.modulations = at::empty({c.layers, 6, D}, at::TensorOptions(m.device).dtype(at::kFloat));
    m.streamed.begin(m.device, c.layers);
    const std::vector<size_t> out = networks::StreamedLayers::order(c.layers);
    const auto out_end = out.begin() + std::min(streamed, c.layers);
    for (int64_t i = 0; i < c.layers; i++) {
        m.layers.push_back(load_layer(w, m, i));
        m.modulations[i].copy_(m.layers[i].modulation);
        m.layers[i].modulation = m.modulations[i];
        if (std::find(out.begin(), out_end, static_cast<size_t>(i)) != out_end) m.move_out(static_cast<size_t>(i));
    }
    m.head_modulation = w.get("scale_shift_table", {1, 2, D}, at::kFloat).view({2, D});
    m.head = networks::Linear::load(w, {"proj_out"}, patch * c.out_channels, D, precision, networks::Linear::Layout::PACKED,
                          m.store, m.arena);
    m.streamed.make_buffers();
}

Transformer::~Transformer() = default;
void Transformer::share(std::shared_ptr<Team> team) {
    impl_->team = std::move(team);
}
Team* Transformer::team() const {
    return impl_->team.get();
}
void Transformer::link(std::shared_ptr<ranks::DeviceLink> link) const {
    impl_->link = std::move(link);
}
const model::TransformerConfig& Transformer::config() const {
    return impl_->config;
}
at::Device Transformer::device() const {
    return impl_->device;
}

int64_t Transformer::bytes() const {
    const Impl& m = *impl_;
    const auto lock = m.streamed.looking();
    int64_t sum = m.streamed.buffer_bytes() + static_cast<int64_t>(m.head_modulation.nbytes());
    for (const networks::Linear* l :
         {&m.patch, &m.text_in, &m.text_out, &m.time_in, &m.time_out, &m.time_proj, &m.head})
        sum += l->bytes();
    if (m.fps_embedding.defined()) sum += m.fps_embedding.nbytes() + m.fps_in.bytes() + m.fps_out.bytes();
    for (size_t i = 0; i < m.layers.size(); i++) {
        const Layer& l = m.layers[i];
        for (const networks::Linear* w : {&l.self_q, &l.self_k, &l.self_v, &l.self_out, &l.cross_q, &l.cross_kv,
                                &l.cross_out, &l.ffn_in, &l.ffn_out})
            if (w != &l.cross_kv || !m.streamed.out(i)) sum += w->bytes();
        for (const at::Tensor* t : {&l.modulation, &l.self_norm_q, &l.self_norm_k, &l.norm3_weight,
                                    &l.norm3_bias, &l.cross_norm_q, &l.cross_norm_k})
            if (t->defined()) sum += static_cast<int64_t>(t->nbytes());
    }
    return sum;
}

std::shared_ptr<const TextContext> Transformer::text_context(const at::Tensor& embeds, Cancel cancel,
                                                             const Trace& trace) const {
    c10::InferenceMode guard;
    const Impl& m = *impl_;
    int64_t rows = embeds.size(0), D = m.config.width, padding = m.config.text_rows - rows;
    if (rows < 1 || padding < 0 || embeds.size(1) != m.config.text_width)
        throw Error(MC_ERROR_INTERNAL, "Text embeddings do not fit the transformer; please report this.");
    networks::CallCount count;
    at::Tensor x = embeds.to(m.device);
    // A device's attention takes no number for each key, or one in the queries' type that has no digits for a
    // logarithm: there the padding rows stand one by one, as in the references.
    const bool fold = m.device.is_cpu();
    if (padding) x = at::cat({x, at::zeros({fold ? 1 : padding, x.size(1)}, x.options())});
    at::Tensor c = m.rounded(m.apply(m.text_in, x, &count)); // [rows + 1 or text_rows, D]
    c = m.rounded(at::gelu(c, "tanh"));
    c = m.rounded(m.apply(m.text_out, c, &count));
    if (trace) trace("text_ctx", c.narrow(0, 0, rows + (padding > 0)));

    auto context = std::make_shared<TextContext>();
    const auto lock = m.streamed.looking();
    if (fold) context->key_bias = at::zeros({c.size(0)}, c.options());
    if (fold && padding) context->key_bias[c.size(0) - 1] = std::log(static_cast<double>(padding));
    for (size_t i = 0; i < m.layers.size(); i++) {
        const Layer& l = m.layers[i];
        cancel.check();
        at::Tensor kv = m.rounded(m.apply(m.streamed.out(i) ? l.cross_kv.on(m.device) : l.cross_kv, c, &count));
        at::Tensor k = kv.narrow(1, 0, D), v = kv.narrow(1, D, D);
        k = k * at::rsqrt(k.square().mean(1, true) + m.config.eps) * l.cross_norm_k;
        TextContext::LayerKeys keys{m.rounded(k).to(m.type()).contiguous(), v.to(m.type()).contiguous(), {}};
        if (m.device.is_cpu()) {
            keys.packed = at::zeros({m.key_value_bytes(c.size(0), m.config.heads)}, at::kByte);
            at::Tensor wide = v.contiguous();
            kernels::write_keys(m.key_values(keys.packed, c.size(0), m.config.heads), nullptr, 0,
                                keys.k.const_data_ptr(), D,
                                wide.const_data_ptr<float>(), D, c.size(0));
        }
        context->layers.push_back(std::move(keys));
    }
    context->flop = count.flop();
    if (m.team) context->shared = m.team->share(embeds);
    return context;
}

at::Tensor patchify(const at::Tensor& x) {
    int64_t C = x.size(0), f = x.size(1), h = x.size(2), w = x.size(3);
    return x.view({C, f, h / 2, 2, w / 2, 2})
        .permute({1, 2, 4, 0, 3, 5})
        .reshape({f * (h / 2) * (w / 2), C * 4});
}

void attend(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const at::Tensor& key_bias,
            int64_t heads, at::Tensor out, networks::CallCount* count) {
    int64_t m = q.size(0), n = k.size(0), width = q.size(1), head = width / heads;
    if (count) count->add({networks::Call::ATTENTION, m, n, width, heads, key_bias.defined()});
    auto by_head = [&](const at::Tensor& t) {
        return t.unflatten(1, {heads, head}).transpose(0, 1).unsqueeze(0);
    };
    std::optional<at::Tensor> mask;
    // float32: a logarithm needs its digits
    if (key_bias.defined()) mask = key_bias.view({1, 1, 1, n}).expand({1, heads, m, n});
    at::Tensor a =
        at::scaled_dot_product_attention(by_head(q), by_head(k), by_head(v), mask); // [1, heads, m, head]
    out.unflatten(1, {heads, head}).copy_(a.squeeze(0).transpose(0, 1));
}

at::Tensor unpatchify(const at::Tensor& tokens, int64_t C, int64_t f, int64_t h, int64_t w) {
    return tokens.view({f, h / 2, w / 2, 2, 2, C}).permute({5, 0, 1, 3, 2, 4}).reshape({C, f, h, w});
}

} // namespace mc::wan_dit
