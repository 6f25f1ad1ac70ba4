// SPDX-License-Identifier: LGPL-2.1-or-later
#include "engine/networks/t5/encoder.h"

#include <algorithm>
#include <cmath>
#include <mutex>

#include <ATen/TensorOperators.h>
#include <ATen/ops/bmm.h>
#include <ATen/ops/embedding.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/gelu.h>
#include <ATen/ops/index_select.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/rsqrt.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/tensor.h>
#include <c10/core/InferenceMode.h>

#include "engine/error.h"

namespace mc::t5 {

int64_t relative_position_bucket(int64_t relative, int64_t buckets, int64_t max_distance) {
    int64_t half = buckets / 2, exact = half / 2;
    int64_t base = relative > 0 ? half : 0, distance = std::abs(relative);
    if (distance < exact) return base + distance;
    // In float32, as the reference: at the borders of buckets a wider type would decide otherwise.
    float part = std::log(static_cast<float>(distance) / static_cast<float>(exact)) /
                 static_cast<float>(std::log(static_cast<double>(max_distance) / static_cast<double>(exact)));
    return base + std::min(half - 1, exact + static_cast<int64_t>(part * static_cast<float>(half - exact)));
}

namespace {

struct Layer {
    at::Tensor norm_attention, norm_ffn; // [D]
    at::Tensor q, k, v;                  // [N*head, D]
    at::Tensor o;                        // [D, N*head]
    at::Tensor position;                 // [buckets, N]; undefined: as in the layer before
    at::Tensor gate, up;                 // [F, D]
    at::Tensor down;                     // [D, F]
};

// Whether matrix products of bfloat16 are quicker than widening to float32 first.
bool native_bfloat16(const at::Device& device) {
    if (!device.is_cpu()) return true;
#if defined(__x86_64__)
    return __builtin_cpu_supports("avx512bf16");
#else
    return false;
#endif
}

// Elements of the buffer into which linear() widens one matrix.
int64_t buffer_size(const model::TextEncoderConfig& c, Precision precision, bool native) {
    if (precision == Precision::FLOAT32 || native) return 0;
    return c.width * std::max(c.ffn, c.heads * c.head);
}

} // namespace

struct Encoder::Impl {
    model::TextEncoderConfig config;
    Precision precision;
    bool native;
    at::Device device = at::kCPU;
    at::Tensor embedding; // [vocabulary, D]
    at::Tensor norm;      // [D]
    std::vector<Layer> layers;
    int64_t bytes = 0;
    std::mutex mutex; // of encoding and moving

    // In place: x is a result that is not used elsewhere.
    at::Tensor round(at::Tensor x) const {
        return precision == Precision::BFLOAT16 ? x.copy_(x.to(at::kBFloat16)) : x;
    }

    // x [L, in], weight [out, in] -> [L, out]. `buffer` is float32 and holds the largest matrix; only
    // where widening is needed.
    at::Tensor linear(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& buffer) const {
        if (precision == Precision::FLOAT32) return at::mm(x, weight.t());
        if (native) return at::mm(x.to(at::kBFloat16), weight.t()).to(at::kFloat);
        at::Tensor wide = buffer.narrow(0, 0, weight.numel()).view(weight.sizes()).copy_(weight);
        return round(at::mm(x, wide.t()));
    }

    at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& gain) const {
        at::Tensor scale = at::rsqrt((x * x).mean(-1, true) + config.eps);
        return round(round(x * scale) * gain); // the first rounding is the reference's, before the gain
    }

    // bias [N, L, L]
    at::Tensor attention(const at::Tensor& x, const Layer& w, const at::Tensor& bias,
                         const at::Tensor& buffer) const {
        auto heads = [&](const at::Tensor& y) {
            return y.view({y.size(0), config.heads, config.head}).transpose(0, 1);
        };
        at::Tensor q = heads(linear(x, w.q, buffer)), k = heads(linear(x, w.k, buffer)),
                   v = heads(linear(x, w.v, buffer));
        at::Tensor scores = round(at::bmm(q, k.transpose(1, 2))); // not divided by sqrt(head)
        scores = round(scores.add_(bias));
        scores = round(at::softmax(scores, -1));
        at::Tensor mixed = round(at::bmm(scores, v));
        return linear(mixed.transpose(0, 1).reshape({x.size(0), config.heads * config.head}), w.o, buffer);
    }

    at::Tensor feed_forward(const at::Tensor& x, const Layer& w, const at::Tensor& buffer) const {
        at::Tensor gate = round(at::gelu(linear(x, w.gate, buffer), "tanh"));
        return linear(round(gate * linear(x, w.up, buffer)), w.down, buffer);
    }

    // [L * L], query slowest
    at::Tensor buckets(int64_t tokens) const {
        at::Tensor index = at::empty({tokens, tokens}, at::kLong);
        int64_t* out = index.mutable_data_ptr<int64_t>();
        for (int64_t query = 0; query < tokens; query++)
            for (int64_t key = 0; key < tokens; key++)
                *out++ = relative_position_bucket(key - query, config.buckets, config.max_distance);
        return index.view({-1}).to(device);
    }
};

Encoder::Encoder(const Weights& weights, const model::TextEncoderConfig& config, Precision precision)
    : impl_(std::make_unique<Impl>()) {
    c10::InferenceMode inference;
    impl_->config = config;
    impl_->precision = precision;
    impl_->device = weights.device();
    impl_->native = native_bfloat16(weights.device());
    const int64_t width = config.width, inner = config.heads * config.head;

    auto held = [&](const std::string& name, std::vector<int64_t> shape) {
        at::Tensor t = weights.get(name, shape, type_of(precision));
        impl_->bytes += static_cast<int64_t>(t.nbytes());
        return t;
    };
    // Small ones are multiplied in float32 by hand; with bfloat16 their values are still rounded.
    auto vector = [&](const std::string& name, std::vector<int64_t> shape) {
        at::Tensor t = impl_->round(weights.get(name, shape, at::kFloat));
        impl_->bytes += static_cast<int64_t>(t.nbytes());
        return t;
    };
    impl_->embedding = held("shared.weight", {config.vocabulary, width});
    for (int64_t i = 0; i < config.layers; i++) {
        std::string layer = "encoder.block." + std::to_string(i) + ".layer.";
        std::string self = layer + "0.SelfAttention.", ffn = layer + "1.DenseReluDense.";
        Layer w;
        w.norm_attention = vector(layer + "0.layer_norm.weight", {width});
        w.q = held(self + "q.weight", {inner, width});
        w.k = held(self + "k.weight", {inner, width});
        w.v = held(self + "v.weight", {inner, width});
        w.o = held(self + "o.weight", {width, inner});
        if (i == 0 || !config.shared_positions)
            w.position = vector(self + "relative_attention_bias.weight", {config.buckets, config.heads});
        w.norm_ffn = vector(layer + "1.layer_norm.weight", {width});
        w.gate = held(ffn + "wi_0.weight", {config.ffn, width});
        w.up = held(ffn + "wi_1.weight", {config.ffn, width});
        w.down = held(ffn + "wo.weight", {width, config.ffn});
        impl_->layers.push_back(std::move(w));
    }
    impl_->norm = vector("encoder.final_layer_norm.weight", {width});
}

Encoder::~Encoder() = default;

at::Tensor Encoder::encode(const std::vector<int64_t>& ids, Cancel cancel, const Trace& trace) const {
    c10::InferenceMode inference;
    const std::lock_guard lock(impl_->mutex);
    const auto& config = impl_->config;
    const int64_t tokens = static_cast<int64_t>(ids.size());
    for (int64_t id : ids)
        if (id < 0 || id >= config.vocabulary)
            throw Error(MC_ERROR_READ,
                        "The tokenizer gives the id " + std::to_string(id) + " and the text encoder knows " +
                            std::to_string(config.vocabulary) + "; both must come from the same model.");

    at::Tensor buffer = at::empty({buffer_size(config, impl_->precision, impl_->native)},
                                  at::TensorOptions(impl_->device).dtype(at::kFloat));
    at::Tensor buckets = impl_->buckets(tokens);
    at::Tensor x =
        at::embedding(impl_->embedding, at::tensor(ids, at::kLong).to(impl_->device)).to(at::kFloat);
    at::Tensor bias;
    for (size_t i = 0; i < impl_->layers.size(); i++) {
        cancel.check();
        const Layer& w = impl_->layers[i];
        if (w.position.defined())
            bias = at::index_select(w.position, 0, buckets)
                       .view({tokens, tokens, config.heads})
                       .permute({2, 0, 1});
        x = impl_->round(x + impl_->attention(impl_->rms_norm(x, w.norm_attention), w, bias, buffer));
        x = impl_->round(x + impl_->feed_forward(impl_->rms_norm(x, w.norm_ffn), w, buffer));
        if (trace) trace("layer" + std::to_string(i) + "_out", x);
    }
    x = impl_->rms_norm(x, impl_->norm).to(at::kCPU);
    if (trace) trace("embeds", x);
    return x;
}

at::Device Encoder::device() const {
    return impl_->device;
}

void Encoder::move_to(at::Device device) {
    c10::InferenceMode inference;
    const std::lock_guard lock(impl_->mutex);
    Impl& m = *impl_;
    for (at::Tensor* t : {&m.embedding, &m.norm}) *t = t->to(device);
    for (Layer& l : m.layers)
        for (at::Tensor* t :
             {&l.norm_attention, &l.norm_ffn, &l.q, &l.k, &l.v, &l.o, &l.position, &l.gate, &l.up, &l.down})
            if (t->defined()) *t = t->to(device); // the first layer of T5 alone has positions
    m.device = device;
    m.native = native_bfloat16(device);
}

int64_t Encoder::bytes() const {
    return impl_->bytes;
}

int64_t Encoder::encode_bytes(int64_t tokens) const {
    return encode_bytes(impl_->config, impl_->precision, impl_->device, tokens);
}

int64_t Encoder::encode_bytes(const model::TextEncoderConfig& c, Precision precision, at::Device device,
                                  int64_t tokens) {
    const bool native = native_bfloat16(device);
    int64_t square = tokens * tokens;
    // Of each kind at most four live at once: bias, scores, their softmax and its rounding; the input and
    // output of a product with their roundings.
    int64_t floats = 4 * (c.heads * square + tokens * (c.width + c.heads * c.head + c.ffn));
    // oneDNN packs the operands of a product of bfloat16 anew, on processors without AMX.
    bool packs = precision == Precision::BFLOAT16 && native;
    int64_t packed = packs ? 2 * c.width * std::max(c.ffn, c.heads * c.head) + (16 << 10) : 0;
    return 8 * square + 4 * (floats + buffer_size(c, precision, native)) + packed;
}

int64_t Encoder::flop(int64_t tokens) const {
    const auto& c = impl_->config;
    int64_t inner = c.heads * c.head;
    int64_t weights = 4 * c.width * inner + 3 * c.width * c.ffn; // of a layer, in matrices
    int64_t attention = 2 * tokens * inner;                      // multiplications per token: scores, mixing
    return 2 * tokens * c.layers * (weights + attention);
}

} // namespace mc::t5
