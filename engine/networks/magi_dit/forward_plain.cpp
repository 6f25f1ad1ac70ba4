// SPDX-License-Identifier: LGPL-2.1-or-later
// The forward as the formulas say it (docs/algorithms.md#magi-layer), operation by operation: what the fast one is
// tested against, and what runs on devices other than the CPU. bfloat16 is rounded where the reference rounds.
#include <ATen/ATen.h>
#include <algorithm>

#include "engine/device.h"
#include "engine/networks/device_attention.h"
#include "engine/networks/magi_dit/pass.h"

namespace mc::magi_dit {

namespace {

// Rows of all work on their way through the network. Activations are float32 tensors that hold numbers of the
// precision.
struct Plain {
    Passes::Impl& p;
    const Network::Impl& m;
    std::span<const Work> work;
    KeyStore& keys;
    at::Tensor token, item;                       // [rows] int64: of the chunk; of the work
    at::Tensor cosine, sine;                      // [rows, 1, 3 bands]
    at::Tensor conditions;                        // [works, condition]
    std::vector<std::vector<at::Tensor>> queries; // of each work that wants them, a layer each
    const int64_t D = m.config.width, head = m.config.head();

    at::Tensor product(const Product& w, const at::Tensor& x) const { return m.apply(w, x, nullptr); }
    // [rows, heads, head]
    at::Tensor by_head(const at::Tensor& t) const { return t.view({t.size(0), -1, head}); }

    // Halves of the first 6 bands channels are pairs.
    at::Tensor rope(const at::Tensor& t) const {
        const int64_t n = cosine.size(-1);
        const at::Tensor a = t.narrow(2, 0, n), b = t.narrow(2, n, n);
        return at::cat({a * cosine - b * sine, a * sine + b * cosine, t.narrow(2, 2 * n, head - 2 * n)}, 2);
    }

    // softmax(q k / sqrt(head)) v: [rows, D]. q: [rows, heads, head], k, v: [keys, groups, head].
    at::Tensor attended(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v) const {
        const auto laid = [&](const at::Tensor& t) {
            return t.to(m.type())
                .repeat_interleave(m.config.heads / t.size(1), 1)
                .transpose(0, 1)
                .unsqueeze(0);
        };
        const at::Tensor a =
            networks::device_attention(laid(q), laid(k), laid(v), q.size(0) % p.chunk_tokens == 0);
        return m.rounded(a.squeeze(0).transpose(0, 1).reshape({q.size(0), D}).to(at::kFloat));
    }

    // Each work's rows of q against what it sees.
    template <typename F>
    at::Tensor by_work(const at::Tensor& q, const F& seen) const {
        std::vector<at::Tensor> parts;
        for (size_t i = 0; i < work.size(); i++) {
            const int64_t first = p.pass.first_row[i], rows = p.pass.first_row[i + 1] - first;
            if (!rows) continue;
            const auto [k, v] = seen(work[i]);
            parts.push_back(k.defined() ? attended(q.narrow(0, first, rows), k, v)
                                        : at::zeros({rows, D}, q.options()));
        }
        return at::cat(parts);
    }
    at::Tensor self_attention(size_t layer, const at::Tensor& q) const {
        return by_work(q, [&](const Work& w) {
            std::vector<at::Tensor> k, v;
            for (int page : w.sees) {
                k.push_back(keys.keys(static_cast<int64_t>(layer), page));
                v.push_back(keys.values(static_cast<int64_t>(layer), page));
            }
            return std::pair(at::cat(k), at::cat(v));
        });
    }
    at::Tensor cross_attention(size_t layer, const at::Tensor& q) const {
        return by_work(q, [&](const Work& w) {
            std::vector<at::Tensor> k, v;
            for (const Text* text : w.text)
                if (text->rows) {
                    k.push_back(text->layers[layer].k);
                    v.push_back(text->layers[layer].v);
                }
            return k.empty() ? std::pair<at::Tensor, at::Tensor>() : std::pair(at::cat(k), at::cat(v));
        });
    }

    void put_keys(size_t layer, const at::Tensor& k, const at::Tensor& v) const {
        for (size_t i = 0; i < work.size(); i++) {
            const int64_t first = p.pass.first_row[i], rows = p.pass.first_row[i + 1] - first;
            if (!rows) continue;
            const at::Tensor slots = token.narrow(0, first, rows);
            const auto l = static_cast<int64_t>(layer);
            keys.keys(l, work[i].page).index_copy_(0, slots, k.narrow(0, first, rows).to(m.type()));
            keys.values(l, work[i].page).index_copy_(0, slots, v.narrow(0, first, rows).to(m.type()));
        }
    }

    at::Tensor layer(size_t i, const Layer& l, at::Tensor x, const Trace& trace) {
        const auto traced = [&](const char* name, const at::Tensor& value) {
            if (trace && i == 0) trace(name, value);
        };
        const at::Tensor gates = m.gates(l, conditions, &p.count); // [works, 2, D]
        const auto gate = [&](int64_t j) { return gates.select(1, j).index_select(0, item); };

        const at::Tensor z = m.rounded(m.normed(l.norm, x));
        traced("qkv_norm", z);
        const at::Tensor q = m.rounded(rope(m.normed(l.q_norm, by_head(m.rounded(product(l.q, z))))));
        const at::Tensor k = m.rounded(rope(m.normed(l.k_norm, by_head(m.rounded(product(l.k, z))))));
        const at::Tensor v = by_head(m.rounded(product(l.v, z)));
        put_keys(i, k, v);
        keep_queries(q);
        const at::Tensor core = self_attention(i, q);
        const at::Tensor qx = m.rounded(m.normed(l.qx_norm, by_head(m.rounded(product(l.qx, z)))));
        const at::Tensor cross = cross_attention(i, qx);
        const at::Tensor projected = product(l.proj, at::cat({core, cross}, 1));
        traced("q", q), traced("k", k), traced("v", v), traced("qx", qx);
        traced("core_attn", core), traced("cross_attn", cross), traced("attn_proj", projected);
        if (trace && i == 0) trace("gate_msa", gates.select(1, 0)), trace("gate_mlp", gates.select(1, 1));

        x = m.rounded(x + m.normed(l.attention_post, projected * gate(0)));
        traced("hs_mid", x);
        const at::Tensor y = m.rounded(m.normed(l.mlp_norm, x));
        at::Tensor u = m.rounded(product(l.fc1, y));
        u = m.rounded(m.config.gated ? at::silu(u) * m.rounded(product(l.fc1_gate, y)) : at::gelu(u));
        u = m.rounded(product(l.fc2, u));
        traced("mlp_out", u);
        x = m.rounded(x + m.normed(l.mlp_post, u * gate(1)));
        traced("hs_out", x);
        return x;
    }

    void keep_queries(const at::Tensor& q) {
        for (size_t i = 0; i < work.size(); i++)
            if (work[i].queries) {
                const int64_t end = p.pass.first_row[i + 1];
                queries[i].push_back(q.slice(0, std::max(p.pass.first_row[i], end - work[i].queries_most), end).cpu());
            }
    }
};

} // namespace

void Passes::Impl::forward_plain(std::span<const Work> work, KeyStore& keys, Cancel cancel,
                                 const Trace& trace) {
    const auto index = [&](const std::vector<int32_t>& list) {
        return upload(at::tensor(list, at::kInt), model.device).to(at::kLong);
    };
    Plain f{*this, model, work, keys, index(pass.token), index(pass.work), {}, {}, {}, {}};
    f.queries.resize(work.size());
    std::vector<at::Tensor> cosines, sines, hidden;
    for (size_t i = 0; i < work.size(); i++) {
        const int64_t first = pass.first_row[i], rows = pass.first_row[i + 1] - first;
        const at::Tensor tokens = f.token.narrow(0, first, rows);
        const Rotary& r = rotary_of(work[i].position);
        cosines.push_back(r.cosine.index_select(0, tokens));
        sines.push_back(r.sine.index_select(0, tokens));
        if (middle || !rows) continue;
        const at::Tensor patches =
            patches_of(model.config, work[i].x.to(model.device)).index_select(0, tokens);
        hidden.push_back(model.rounded(model.apply(model.patch, patches, &count)));
    }
    f.cosine = at::cat(cosines).unsqueeze(1);
    f.sine = at::cat(sines).unsqueeze(1);
    f.conditions = middle ? middle->conditions : model.conditions(work, &count);
    if (trace) trace("condition", f.conditions);
    at::Tensor x = middle ? middle->hidden : pass.rows() ? at::cat(hidden) : at::Tensor();
    if (trace && pass.rows()) trace("tokens_in", x);
    if (pass.rows()) {
        networks::LayersOfForward in_turn(model.streamed, cancel);
        for (size_t i = 0; i < layers(); i++) {
            cancel.check();
            const networks::LayerInUse layer(in_turn, model.layers, i);
            x = f.layer(i, layer.get(), x, trace);
        }
    }
    if (trace && pass.rows()) trace("block_last_out", x);
    if (middle) return;

    const int64_t C = model.config.latent_channels();
    for (size_t i = 0; i < work.size(); i++) {
        if (work[i].queries) *work[i].queries = f.queries[i].empty() ? at::Tensor() : at::stack(f.queries[i]);
        if (!work[i].velocity.defined()) continue;
        const int64_t first = pass.first_row[i], rows = pass.first_row[i + 1] - first;
        at::Tensor out = at::zeros({chunk_tokens, 4 * C}, at::TensorOptions(model.device).dtype(at::kFloat));
        if (rows) {
            const at::Tensor y = model.normed(model.final_norm, x.narrow(0, first, rows));
            out.index_copy_(0, f.token.narrow(0, first, rows), model.apply(model.head, y, &count));
        }
        const int64_t h = shape.height / 2, w = shape.width / 2;
        work[i].velocity.copy_(out.view({shape.frames, h, w, 2, 2, C})
                                   .permute({5, 0, 1, 3, 2, 4})
                                   .reshape(work[i].velocity.sizes())
                                   .div(model.config.rescale));
    }
}

} // namespace mc::magi_dit
