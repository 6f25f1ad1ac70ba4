#include "engine/transformer/transformer.h"

#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>
#include <cmath>

#include "engine/transformer/layers.h"

namespace mc::transformer {

at::Tensor Transformer::Impl::rounded(const at::Tensor& t) const {
    return precision == Precision::BFLOAT16 ? t.to(at::kBFloat16).to(at::kFloat) : t;
}

at::Tensor Transformer::Impl::apply(const Linear& linear, const at::Tensor& x, CallCount* count) const {
    at::Tensor in = linear.weight().scalar_type() == at::kFloat ? x : rounded(x).to(type());
    at::Tensor out = at::empty({x.size(0), linear.out()}, in.options());
    linear.run(in, out, count);
    return out.to(at::kFloat).add_(linear.bias_tensor());
}

static Layer load_layer(const Weights& w, const model::TransformerConfig& c, int64_t index, Precision precision) {
    std::string p = "blocks." + std::to_string(index) + ".";
    int64_t D = c.width;
    auto linear = [&](const std::vector<std::string>& names, int64_t out, int64_t in) {
        std::vector<std::string> full;
        for (const auto& name : names) full.push_back(p + name);
        return Linear::load(w, full, out, in, precision);
    };
    // Gains of the q and k norms are rounded with the other weights; norms and modulation stay float32.
    auto gain = [&](const std::string& name) {
        at::Tensor t = w.get(p + name, {D}, at::kFloat);
        return precision == Precision::BFLOAT16 ? t.to(at::kBFloat16).to(at::kFloat) : t;
    };
    Layer l;
    l.modulation = w.get(p + "scale_shift_table", {1, 6, D}, at::kFloat).view({6, D});
    l.qkv = linear({"attn1.to_q", "attn1.to_k", "attn1.to_v"}, D, D);
    l.self_out = linear({"attn1.to_out.0"}, D, D);
    l.self_norm_q = gain("attn1.norm_q.weight");
    l.self_norm_k = gain("attn1.norm_k.weight");
    l.norm3_weight = w.get(p + "norm2.weight", {D}, at::kFloat);
    l.norm3_bias = w.get(p + "norm2.bias", {D}, at::kFloat);
    l.cross_q = linear({"attn2.to_q"}, D, D);
    l.cross_kv = linear({"attn2.to_k", "attn2.to_v"}, D, D);
    l.cross_out = linear({"attn2.to_out.0"}, D, D);
    l.cross_norm_q = gain("attn2.norm_q.weight");
    l.cross_norm_k = gain("attn2.norm_k.weight");
    l.ffn_in = linear({"ffn.net.0.proj"}, c.ffn, D);
    l.ffn_out = linear({"ffn.net.2"}, D, c.ffn);
    return l;
}

Transformer::Transformer(const Weights& w, const model::TransformerConfig& c, Precision precision,
                         std::optional<kernels::Store> store)
    : impl_(std::make_unique<Impl>()) {
    c10::InferenceMode guard;
    Impl& m = *impl_;
    m.config = c;
    m.precision = precision;
    m.device = w.device();
    m.store = store.value_or(store_for(precision, m.device));
    int64_t D = c.width, patch = c.patch[0] * c.patch[1] * c.patch[2];
    at::ScalarType type = precision == Precision::BFLOAT16 ? at::kBFloat16 : at::kFloat;

    m.patch = Linear(w.get("patch_embedding.weight", {D, c.in_channels, c.patch[0], c.patch[1], c.patch[2]}, type)
                         .view({D, c.in_channels * patch}),
                     w.get("patch_embedding.bias", {D}, type).to(at::kFloat));
    const std::string ce = "condition_embedder.";
    m.text_in = Linear::load(w, {ce + "text_embedder.linear_1"}, D, c.text_width, precision);
    m.text_out = Linear::load(w, {ce + "text_embedder.linear_2"}, D, D, precision);
    m.time_in = Linear::load(w, {ce + "time_embedder.linear_1"}, D, c.frequencies, Precision::FLOAT32);
    m.time_out = Linear::load(w, {ce + "time_embedder.linear_2"}, D, D, Precision::FLOAT32);
    m.time_proj = Linear::load(w, {ce + "time_proj"}, 6 * D, D, precision);
    if (c.fps_embedding) {
        m.fps_embedding = w.get("fps_embedding.weight", {2, D}, type).to(at::kFloat);
        m.fps_in = Linear::load(w, {"fps_projection.net.0.proj"}, D, D, precision);
        m.fps_out = Linear::load(w, {"fps_projection.net.2"}, 6 * D, D, precision);
    }
    for (int64_t i = 0; i < c.layers; i++) m.layers.push_back(load_layer(w, c, i, precision));
    m.head_modulation = w.get("scale_shift_table", {1, 2, D}, at::kFloat).view({2, D});
    m.head = Linear::load(w, {"proj_out"}, patch * c.out_channels, D, precision);
}

Transformer::~Transformer() = default;
const model::TransformerConfig& Transformer::config() const { return impl_->config; }

int64_t Transformer::bytes() const {
    const Impl& m = *impl_;
    int64_t sum = m.head_modulation.nbytes();
    for (const Linear* l : {&m.patch, &m.text_in, &m.text_out, &m.time_in, &m.time_out, &m.time_proj, &m.head})
        sum += l->bytes();
    if (m.fps_embedding.defined()) sum += m.fps_embedding.nbytes() + m.fps_in.bytes() + m.fps_out.bytes();
    for (const Layer& l : m.layers) {
        for (const Linear* w : {&l.qkv, &l.self_out, &l.cross_q, &l.cross_kv, &l.cross_out, &l.ffn_in, &l.ffn_out})
            sum += w->bytes();
        for (const at::Tensor* t : {&l.modulation, &l.self_norm_q, &l.self_norm_k, &l.norm3_weight, &l.norm3_bias,
                                    &l.cross_norm_q, &l.cross_norm_k})
            sum += t->nbytes();
    }
    return sum;
}

std::shared_ptr<const TextContext> Transformer::text_context(const at::Tensor& embeds, Cancel cancel,
                                                             const Trace& trace) const {
    c10::InferenceMode guard;
    const Impl& m = *impl_;
    int64_t rows = embeds.size(0), D = m.config.width, padding = m.config.text_rows - rows;
    if (rows < 1 || padding < 0 || embeds.size(1) != m.config.text_width)
        throw Error(MC_ERROR_INTERNAL, "Text embeddings do not fit the transformer.");
    CallCount count;
    at::Tensor x = embeds.to(m.device);
    if (padding) x = at::cat({x, at::zeros({1, x.size(1)}, x.options())});
    at::Tensor c = m.rounded(m.apply(m.text_in, x, &count)); // [rows + 1, D]
    c = m.rounded(at::gelu(c, "tanh"));
    c = m.rounded(m.apply(m.text_out, c, &count));
    if (trace) trace("text_ctx", c);

    auto context = std::make_shared<TextContext>();
    context->key_bias = at::zeros({c.size(0)}, c.options());
    if (padding) context->key_bias[c.size(0) - 1] = std::log(static_cast<double>(padding));
    for (const Layer& l : m.layers) {
        cancel.check();
        at::Tensor kv = m.rounded(m.apply(l.cross_kv, c, &count));
        at::Tensor k = kv.narrow(1, 0, D), v = kv.narrow(1, D, D);
        k = k * at::rsqrt(k.square().mean(1, true) + m.config.eps) * l.cross_norm_k;
        context->layers.push_back({m.rounded(k).to(m.type()).contiguous(), v.to(m.type()).contiguous()});
    }
    context->flop = count.flop();
    return context;
}

TimeEmbedding time_embedding(const Transformer::Impl& m, const std::vector<int64_t>& timesteps, int fps,
                             CallCount* count) {
    int64_t half = m.config.frequencies / 2, D = m.config.width;
    at::Tensor frequency =
        at::pow(at::scalar_tensor(10000.0, at::kDouble), -at::arange(half, at::kDouble) / static_cast<double>(half));
    at::Tensor angle = at::outer(at::tensor(timesteps).to(at::kDouble), frequency); // [groups, half]
    at::Tensor sinusoid = at::cat({angle.cos(), angle.sin()}, 1).to(at::kFloat).to(m.device);
    at::Tensor e = m.apply(m.time_out, at::silu(m.apply(m.time_in, sinusoid, count)), count);
    e = m.rounded(e);
    at::Tensor e0 = m.rounded(m.apply(m.time_proj, m.rounded(at::silu(e)), count));
    if (m.fps_embedding.defined()) {
        at::Tensor row = m.fps_embedding.narrow(0, fps == 16 ? 0 : 1, 1);
        at::Tensor hidden = m.rounded(at::silu(m.rounded(m.apply(m.fps_in, row, count))));
        e0 = m.rounded(e0 + m.rounded(m.apply(m.fps_out, hidden, count)));
    }
    return {e, e0.view({-1, 6, D})};
}

at::Tensor patchify(const at::Tensor& x) {
    int64_t C = x.size(0), f = x.size(1), h = x.size(2), w = x.size(3);
    return x.view({C, f, h / 2, 2, w / 2, 2}).permute({1, 2, 4, 0, 3, 5}).reshape({f * (h / 2) * (w / 2), C * 4});
}

at::Tensor unpatchify(const at::Tensor& tokens, int64_t C, int64_t f, int64_t h, int64_t w) {
    return tokens.view({f, h / 2, w / 2, 2, 2, C}).permute({5, 0, 1, 3, 2, 4}).reshape({C, f, h, w});
}

} // namespace mc::transformer
