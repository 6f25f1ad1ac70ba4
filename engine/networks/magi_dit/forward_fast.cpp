// SPDX-License-Identifier: LGPL-2.1-or-later
// The forward as it runs on the CPU. Rows are tokens of the chunks that the work names; a thread takes a block of
// them through a whole layer, and threads meet once per layer, when all keys and values are written. Its plain version
// is forward_plain.cpp.
#include <ATen/ATen.h>
#include <algorithm>
#include <c10/core/InferenceMode.h>

#include "engine/networks/magi_dit/pass.h"

namespace mc::magi_dit {

using kernels::Store;
using networks::Blocks;
using networks::Range;
using Worker = Blocks::Worker;

namespace {

char* row_at(const at::Tensor& t, int64_t r) {
    return static_cast<char*>(const_cast<void*>(t.const_data_ptr())) + r * t.stride(0) * t.element_size();
}
float* floats(const at::Tensor& t) {
    return static_cast<float*>(const_cast<void*>(t.const_data_ptr()));
}

struct RowBlock : Range {}; // rows of the pass, all of work `of`

struct Forward {
    Passes::Impl& p;
    const Network::Impl& m;
    std::span<const Work> work;
    KeyStore& keys;
    std::vector<at::Tensor> latents; // of each work, close together
    std::vector<const Rotary*> rotary;
    std::vector<at::Tensor> gates; // of each layer: [works, 2, D] float32
    const int64_t D = m.config.width, head = m.config.head(), heads = m.config.heads,
                  groups = m.config.groups;
    const float eps = static_cast<float>(m.config.eps);

    // y = x W^T, with the rounding of weights of eight bits: x, on the rows' grid, is replaced in place. y: float32.
    void product(const Product& w, char* x, int64_t x_stride, int64_t rows, float* y, int64_t y_stride,
                 const void* next) const {
        if (w.eight_bits()) quantise(w, x, x_stride, x, x_stride, rows, 0, w.linear.in());
        w.linear.rows(w.linear.whole(), x, x_stride, rows, y, y_stride, next);
        scale(w, y, y_stride, rows, w.linear.out());
    }
    // Likewise, where x is wanted afterwards: `space` holds the rounded one.
    void product(const Product& w, const at::Tensor& x, const at::Tensor& space, int64_t rows,
                 const at::Tensor& y, const void* next) const {
        if (!w.eight_bits())
            return w.linear.rows(w.linear.whole(), x.const_data_ptr(), x.stride(0), rows, floats(y),
                                 y.stride(0), next);
        quantise(w, row_at(x, 0), x.stride(0), row_at(space, 0), space.stride(0), rows, 0, w.linear.in());
        w.linear.rows(w.linear.whole(), space.const_data_ptr(), space.stride(0), rows, floats(y), y.stride(0),
                      next);
        scale(w, floats(y), y.stride(0), rows, w.linear.out());
    }
    void quantise(const Product& w, const char* x, int64_t x_stride, char* to, int64_t to_stride,
                  int64_t rows, int64_t first, int64_t ins) const {
        kernels::round_to_e4m3(x, x_stride, floats(w.input_scale) + first, to, to_stride, rows, ins, m.store);
    }
    static void scale(const Product& w, float* y, int64_t y_stride, int64_t rows, int64_t outs) {
        if (!w.eight_bits()) return;
        for (int64_t r = 0; r < rows; r++)
            for (int64_t i = 0; i < outs; i++) y[r * y_stride + i] *= w.output_scale;
    }

    void head_norm(const RowBlock& b, const float* in, int64_t in_stride, const NormWeights& norm,
                   int64_t width, bool rotate, char* out, int64_t out_stride) const {
        kernels::HeadNorm a{};
        a.in = in;
        a.in_stride = in_stride;
        a.gain = floats(norm.weight);
        a.bias = floats(norm.bias);
        if (rotate) {
            a.cosine = floats(rotary[b.of]->cosine);
            a.sine = floats(rotary[b.of]->sine);
            a.position = p.pass.token.data() + b.begin;
            a.angles = rotary[b.of]->cosine.size(1);
        }
        a.out = out;
        a.out_stride = out_stride;
        a.rows = b.rows();
        a.width = width;
        a.head = head;
        a.eps = eps;
        a.store = m.store;
        kernels::head_norm(a);
    }

    void attend(const std::vector<kernels::KeyRange>& ranges, char* q, int64_t rows) const {
        kernels::Attention a{};
        a.q = a.out = q;
        a.q_stride = a.out_stride = 2 * D;
        a.ranges = ranges.data();
        a.range_count = ranges.size();
        a.queries_per_key = heads / groups;
        for (int64_t h = 0; h < groups; h++) kernels::attention(a, h, 0, rows);
    }
    char* core(int64_t row) const { return row_at(p.both, row); } // queries, then what they attend to
    char* cross(int64_t row) const { return core(row) + D * p.both.element_size(); }

    // Latents of a block to hidden states.
    void embed(const RowBlock& b, const Worker& worker) const {
        const int64_t C = m.config.latent_channels(), H = p.shape.height, W = p.shape.width, columns = W / 2,
                      plane = p.shape.frames * H * W, stride = worker.c.stride(0);
        const auto rescale = static_cast<float>(m.config.rescale);
        for (int64_t r = 0; r < b.rows(); r++) { // channel slowest, then row and column of the patch
            const int64_t token = p.pass.token[b.begin + r], frame = token / p.frame_tokens,
                          place = token % p.frame_tokens;
            const float* from =
                floats(latents[b.of]) + (frame * H + place / columns * 2) * W + place % columns * 2;
            float* to = floats(worker.c) + r * stride + D;
            for (int64_t c = 0; c < C; c++, from += plane, to += 4) {
                to[0] = from[0] * rescale, to[1] = from[1] * rescale;
                to[2] = from[W] * rescale, to[3] = from[W + 1] * rescale;
            }
            if (m.config.doubled) std::copy_n(to - 4 * C, 4 * C, to);
        }
        m.patch.rows(m.patch.whole(), floats(worker.c) + D, stride, b.rows(), floats(worker.c), stride);
        for (int64_t r = 0; r < b.rows(); r++)
            store(floats(worker.c) + r * stride, row_at(p.x, b.begin + r), D);
    }
    void store(const float* from, char* to, int64_t n) const {
        if (m.store == Store::BF16) return kernels::to_bf16(from, reinterpret_cast<kernels::bf16*>(to), n);
        std::copy_n(from, n, reinterpret_cast<float*>(to));
        if (m.store == Store::F32_AS_BF16) kernels::round_to_bf16(reinterpret_cast<float*>(to), n);
    }
    void first_norm(const RowBlock& b, const Worker& worker) const {
        const NormWeights& norm = m.layers[0].norm;
        kernels::ResidualNorm a{};
        a.x = row_at(p.x, b.begin);
        a.x_stride = D;
        a.mult = floats(norm.weight);
        a.add = floats(norm.bias);
        a.out = row_at(worker.y, 0);
        a.out_stride = worker.y.stride(0);
        a.rows = b.rows();
        a.width = D;
        a.eps = eps;
        a.store = m.store;
        kernels::residual_norm(a);
    }

    // From the norm in y to queries, keys, values, and what the text gives.
    void project(const RowBlock& b, size_t i, const Worker& worker) const {
        const Layer& l = m.layers[i];
        const int64_t n = b.rows(), c_stride = worker.c.stride(0);
        float* const c = floats(worker.c);
        product(l.q, worker.y, worker.k, n, worker.c, l.qx.linear.first_panel());
        head_norm(b, c, c_stride, l.q_norm, D, true, core(b.begin), 2 * D);
        product(l.qx, worker.y, worker.k, n, worker.c, l.k.linear.first_panel());
        head_norm(b, c, c_stride, l.qx_norm, D, false, cross(b.begin), 2 * D);
        std::vector<kernels::KeyRange> text;
        for (const Text* t : work[b.of].text)
            if (t->rows) text.push_back({m.text_keys(*t, i), static_cast<size_t>(t->rows)});
        if (!text.empty()) {
            attend(text, cross(b.begin), n);
        } else {
            for (int64_t r = 0; r < n; r++)
                std::fill_n(cross(b.begin + r), D * p.both.element_size(), char{0});
        }
        const kernels::KeyValues kv = keys.memory(static_cast<int64_t>(i), work[b.of].page);
        const int32_t* slots = p.pass.token.data() + b.begin;
        kernels::expect_keys(kv, slots, 0, n);
        product(l.k, worker.y, worker.k, n, worker.c, l.v.linear.first_panel());
        head_norm(b, c, c_stride, l.k_norm, groups * head, true, row_at(worker.k, 0), worker.k.stride(0));
        product(l.v, row_at(worker.y, 0), worker.y.stride(0), n, c, c_stride, kv.memory);
        kernels::write_keys(kv, slots, 0, row_at(worker.k, 0), worker.k.stride(0), c, c_stride, n);
    }

    // x += norm(gate * c); then the norm of what comes next.
    void residual(const RowBlock& b, const Worker& worker, size_t layer, int64_t gate,
                  const NormWeights& post, const NormWeights& next, bool round_delta, bool last) const {
        kernels::GatedNorm a{};
        a.x = row_at(p.x, b.begin);
        a.x_stride = D;
        a.delta = floats(worker.c);
        a.delta_stride = worker.c.stride(0);
        a.round_delta = round_delta;
        a.gate = floats(gates[layer]) + gate * D;
        a.group = p.pass.work.data() + b.begin;
        a.group_stride = 2 * D;
        a.post_gain = floats(post.weight);
        a.post_bias = floats(post.bias);
        a.gain = floats(next.weight);
        a.bias = floats(next.bias);
        a.out = last ? static_cast<void*>(floats(worker.c)) : row_at(worker.y, 0);
        a.out_stride = last ? worker.c.stride(0) : worker.y.stride(0);
        a.out_is_float = last;
        a.rows = b.rows();
        a.width = D;
        a.eps = eps;
        a.store = m.store;
        kernels::gated_norm(a);
    }

    void attend_and_feed(const RowBlock& b, size_t i, const Worker& worker) const {
        const Layer& l = m.layers[i];
        const int64_t n = b.rows(), c_stride = worker.c.stride(0), y_stride = worker.y.stride(0);
        float* const c = floats(worker.c);
        std::vector<kernels::KeyRange> seen;
        for (int page : work[b.of].sees) seen.push_back(keys.range(static_cast<int64_t>(i), page));
        attend(seen, core(b.begin), n);
        product(l.proj, core(b.begin), 2 * D, n, c, c_stride, l.fc1.linear.first_panel());
        residual(b, worker, i, 0, l.attention_post, l.mlp_norm, l.proj.eight_bits(), false);

        const bool last = i + 1 == p.layers();
        const void* after = last ? m.head.first_panel() : m.layers[i + 1].q.linear.first_panel();
        const int64_t F = m.config.ffn, part = p.ffn_part();
        if (l.fc1.eight_bits())
            quantise(l.fc1, row_at(worker.y, 0), y_stride, row_at(worker.y, 0), y_stride, n, 0, D);
        float *const u = floats(worker.h), *const v = u + part;
        const int64_t h_stride = worker.h.stride(0), a_stride = worker.a.stride(0);
        for (int64_t f = 0; f < F; f += part) {
            const int64_t outs = std::min(part, F - f);
            l.fc1.linear.rows({f, outs, 0, D}, worker.y.const_data_ptr(), y_stride, n, u, h_stride,
                              l.fc2.linear.first_panel());
            scale(l.fc1, u, h_stride, n, outs);
            if (m.config.gated) {
                l.fc1_gate.linear.rows({f, outs, 0, D}, worker.y.const_data_ptr(), y_stride, n, v, h_stride,
                                       l.fc2.linear.first_panel());
                scale(l.fc1_gate, v, h_stride, n, outs);
                kernels::silu_gate(u, h_stride, v, h_stride, row_at(worker.a, 0), a_stride, n, outs, m.store);
            } else {
                kernels::gelu_erf(u, h_stride, row_at(worker.a, 0), a_stride, n, outs, m.store);
            }
            if (l.fc2.eight_bits())
                quantise(l.fc2, row_at(worker.a, 0), a_stride, row_at(worker.a, 0), a_stride, n, f, outs);
            l.fc2.linear.rows({0, D, f, outs, f > 0}, row_at(worker.a, 0), a_stride, n, c, c_stride, after);
        }
        scale(l.fc2, c, c_stride, n, D);
        residual(b, worker, i, 1, l.mlp_post, last ? m.final_norm : m.layers[i + 1].norm, true, last);
        if (last && work[b.of].velocity.defined() && !p.middle) put_velocity(b, worker);
    }

    // From the last norm in c to the velocity at the block's tokens.
    void put_velocity(const RowBlock& b, const Worker& worker) const {
        const int64_t C = m.config.latent_channels(), H = p.shape.height, W = p.shape.width, columns = W / 2,
                      stride = worker.c.stride(0);
        float* const out = floats(worker.c) + D;
        m.head.rows(m.head.whole(), floats(worker.c), stride, b.rows(), out, stride);
        float* velocity = floats(work[b.of].velocity);
        const auto rescale = static_cast<float>(m.config.rescale);
        for (int64_t r = 0; r < b.rows(); r++) {
            const float* from = out + r * stride; // row, column of the patch slowest, channel fastest
            const int64_t token = p.pass.token[b.begin + r], frame = token / p.frame_tokens,
                          place = token % p.frame_tokens, y = place / columns * 2, x = place % columns * 2;
            for (int64_t py = 0; py < 2; py++)
                for (int64_t px = 0; px < 2; px++)
                    for (int64_t c = 0; c < C; c++)
                        velocity[((c * p.shape.frames + frame) * H + y + py) * W + x + px] =
                            from[(py * 2 + px) * C + c] / rescale;
        }
    }
};

} // namespace

void Passes::Impl::forward_fast(std::span<const Work> work, KeyStore& keys, Cancel cancel,
                                const Trace& trace) {
    Forward f{*this, model, work, keys, {}, {}, {}};
    const at::Tensor conditions = middle ? middle->conditions : model.conditions(work, &count);
    if (trace) trace("condition", conditions);
    std::vector<RowBlock> list;
    for (size_t i = 0; i < work.size(); i++) {
        f.latents.push_back(work[i].x.contiguous());
        f.rotary.push_back(&rotary_of(work[i].position));
        if (work[i].velocity.defined()) work[i].velocity.zero_();
        if (pass.first_row[i + 1] > pass.first_row[i])
            blocks.cut(i, pass.first_row[i], pass.first_row[i + 1], blocks.size_for(pass.rows()), list);
    }
    if (!pass.rows()) return;
    f.gates.resize(layers());
    parallel_for(0, static_cast<int64_t>(layers()), 1, [&](int64_t first, int64_t last) {
        c10::InferenceMode guard; // which threads do not inherit
        for (int64_t i = first; i < last; i++)
            f.gates[i] = model.gates(model.layers[i], conditions, nullptr).contiguous();
    });
    const Linear& gate = model.layers[0].gates;
    count.add({Call::GEMM, conditions.size(0), gate.out(), gate.in(), 0}, static_cast<int64_t>(layers()));
    make_room();

    blocks.each(list, [&](const RowBlock& b, const Worker& worker) {
        if (middle)
            for (int64_t r = b.begin; r < b.end; r++)
                f.store(floats(middle->hidden) + r * f.D, row_at(x, r), f.D);
        else
            f.embed(b, worker);
        f.first_norm(b, worker);
        f.project(b, 0, worker);
    });
    const auto traced = [&](const char* name, const at::Tensor& t) {
        if (trace) trace(name, t.narrow(0, 0, pass.rows()).to(at::kFloat).clone());
    };
    traced("tokens_in", x);
    traced("q", both.narrow(1, 0, f.D).unflatten(1, {f.heads, f.head}));
    traced("cross_attn", both.narrow(1, f.D, f.D));
    for (size_t i = 0; i < layers(); i++) {
        cancel.check();
        for (size_t w = 0; w < work.size(); w++)
            if (work[w].queries) {
                const int64_t end = pass.first_row[w + 1],
                              rows = std::min(work[w].queries_most, end - pass.first_row[w]);
                at::Tensor& kept = *work[w].queries;
                const std::vector<int64_t> size{static_cast<int64_t>(layers()), rows, f.heads, f.head};
                if (!kept.defined() || kept.sizes() != at::IntArrayRef(size)) kept = at::empty(size, at::kFloat);
                kept[static_cast<int64_t>(i)].copy_(
                    both.narrow(0, end - rows, rows).narrow(1, 0, f.D).unflatten(1, {f.heads, f.head}));
            }
        blocks.each(list, [&](const RowBlock& b, const Worker& worker) {
            f.attend_and_feed(b, i, worker);
            if (i + 1 < layers()) f.project(b, i + 1, worker);
        });
        if (i == 0 && trace) {
            trace("gate_msa", f.gates[0].select(1, 0));
            trace("gate_mlp", f.gates[0].select(1, 1));
            traced("hs_out", x);
            // Of the only layer, nothing has come after.
            if (middle) traced("core_attn", both.narrow(1, 0, f.D));
        }
    }
    traced("block_last_out", x);
    if (middle) return;
    for (const Call& call : {Call{Call::GEMM, pass.rows(), model.patch.out(), model.patch.in(), 0},
                             Call{Call::GEMM, pass.rows(), model.head.out(), model.head.in(), 0}})
        count.add(call);
}

} // namespace mc::magi_dit
