// SPDX-License-Identifier: LGPL-2.1-or-later
// The forward as it runs on devices: the tokens of all chunks and branches in the work are the rows of one matrix,
// which goes through the layers as a whole. Products and attention are ATen's, what lies between them is RowOps'.
// Everything that the host knows of the work goes over in one upload; nothing waits but for motion, at the end. A team
// divides the rows (token_share.h): each of its ranks takes some of them through all but self-attention. The plain
// version is forward_plain.cpp.
#include <ATen/ATen.h>
#include <algorithm>

#include "engine/device.h"
#include "engine/networks/codes.h"
#include "engine/networks/device_attention.h"
#include "engine/networks/row_ops.h"
#include "engine/networks/wan_dit/window.h"

namespace mc::wan_dit {

namespace {

using Span = Window::Impl::Span;

// y = x W^T + b, rounded once.
at::Tensor product(const networks::Linear& l, const at::Tensor& x) {
    return at::addmm(l.stored_bias(), x, l.weight().t());
}

// One forward: the window and what this pass runs through it.
struct Forward {
    Window::Impl& w;
    const Transformer::Impl& m;
    const Window::Impl::Pass& pass;
    std::span<const TextContext* const> text;
    std::span<const ChunkWork> work;
    TokenShare* const share = w.share.get();
    const int64_t first = share ? share->first() : 0, last = share ? share->last() : pass.rows,
                  here = last - first; // rows that this process takes through the layers
    const int64_t D = m.config.width, heads = m.config.heads, head = m.config.head();
    const networks::RowOps ops{m.device, D, head, m.config.eps};
    std::vector<int> chunks; // in the work, in its order: each stands once in `in`

    // What the host knows, all int32, where the device is.
    at::Tensor times;      // [timesteps]: rows of the time table
    at::Tensor token;      // [here]: of the window
    at::Tensor slots;      // [2 rows]: of the key in w.layer_keys, then of the value
    at::Tensor slot;       // [here]: of the key where it is first written
    at::Tensor group;      // [here]: of the timestep
    at::Tensor source;     // [here]: in `in`
    at::Tensor out_row;    // [tokens of all work]: row, or -1
    at::Tensor out_group;  // likewise: of the timestep
    at::Tensor modulation; // [layers, timesteps, 6, D] float32

    int64_t place_of(int chunk) const { // of its first token in `in`
        return (std::find(chunks.begin(), chunks.end(), chunk) - chunks.begin()) * w.chunk_tokens;
    }

    void tell() {
        std::vector<int32_t> all;
        for (int64_t t : pass.distinct) all.push_back(static_cast<int32_t>(w.time.row(t)));
        auto put = [&](const std::vector<int32_t>& list) { all.insert(all.end(), list.begin(), list.end()); };
        put(pass.token);
        std::vector<int32_t> keys_at(pass.rows), sources(pass.rows);
        for (size_t i = 0; i < work.size(); i++) {
            if (std::find(chunks.begin(), chunks.end(), work[i].chunk) == chunks.end())
                chunks.push_back(work[i].chunk);
            const int64_t end = i + 1 < work.size() ? pass.first_row[i + 1] : pass.rows;
            const int64_t keys = work[i].branch * 2 * w.tokens,
                          shift = place_of(work[i].chunk) - work[i].chunk * w.chunk_tokens;
            for (int64_t r = pass.first_row[i]; r < end; r++) {
                keys_at[r] = static_cast<int32_t>(keys + pass.token[r]);
                sources[r] = static_cast<int32_t>(shift + pass.token[r]);
            }
        }
        put(keys_at);
        for (int32_t& at : keys_at) at += static_cast<int32_t>(w.tokens);
        put(keys_at), put(pass.group), put(sources), put(pass.token_row);
        for (const ChunkWork& item : work)
            for (int64_t t = 0; t < w.chunk_tokens; t++)
                all.push_back(pass.frame_group[item.chunk * w.chunk_frames + t / w.frame_tokens]);
        if (share)
            for (int64_t r = 0; r < here; r++) all.push_back(static_cast<int32_t>(r));

        const at::Tensor there = upload(at::tensor(all, at::kInt), m.device);
        int64_t begin = 0;
        for (auto [to, count] :
             {std::pair(&times, static_cast<int64_t>(pass.distinct.size())), std::pair(&token, pass.rows),
              std::pair(&slots, 2 * pass.rows), std::pair(&group, pass.rows), std::pair(&source, pass.rows),
              std::pair(&out_row, static_cast<int64_t>(pass.token_row.size())),
              std::pair(&out_group, static_cast<int64_t>(pass.token_row.size()))})
            *to = there.narrow(0, begin, count), begin += count;
        for (at::Tensor* t : {&token, &group, &source}) *t = t->narrow(0, first, here);
        slot = share ? there.narrow(0, begin, here) : slots.narrow(0, 0, pass.rows);
        modulation = m.modulations.unsqueeze(1) + w.time.e0().index_select(0, times);
    }
    // [timesteps, D]: shift, scale, gate of self-attention, then of the FFN
    at::Tensor mod(size_t layer, int64_t part) const {
        return modulation.select(0, static_cast<int64_t>(layer)).select(1, part);
    }

    // [tokens of the chunks, D]: patch embeddings, which both branches share.
    at::Tensor embed(const at::Tensor& latents) const {
        std::vector<at::Tensor> patches;
        for (int chunk : chunks)
            patches.push_back(patchify(latents.narrow(1, chunk * w.chunk_frames, w.chunk_frames)
                                           .to(m.device, m.type())
                                           .contiguous()));
        return product(m.patch, patches.size() == 1 ? patches[0] : at::cat(patches));
    }

    bool whole_chunks(int64_t rows) const { return rows % w.chunk_tokens == 0; }

    // Rows that attend to the same keys stand together. Both branches of a chunk, where they have as many rows, are a
    // batch. q: [rows, W], all of W or those of the heads here. [rows, W]
    at::Tensor self_attention(const at::Tensor& q, const at::Tensor& keys_values) const {
        const int64_t W = q.size(1);
        std::vector<std::pair<int64_t, at::Tensor>> pieces; // first row; [rows, W]
        std::vector<bool> done(pass.spans.size(), false);
        for (size_t i = 0; i < pass.spans.size(); i++) {
            if (done[i]) continue;
            const Span &a = pass.spans[i], *b = nullptr;
            const int64_t n = a.end - a.begin;
            for (size_t j = i + 1; j < pass.spans.size() && !b; j++) {
                const Span& other = pass.spans[j];
                if (done[j] || other.branch <= a.branch || other.keys != a.keys ||
                    other.end - other.begin != n)
                    continue;
                b = &other, done[j] = true;
            }
            const int64_t batch = b ? 2 : 1, rows_apart = b ? b->begin - a.begin : 0,
                          branches_apart = b ? b->branch - a.branch : 0, slots = 2 * w.tokens;
            // [batch, n or keys, heads, head] to [batch, heads, n or keys, head], without a copy
            auto by_head = [&](const at::Tensor& t, int64_t count, int64_t first, int64_t apart) {
                return t
                    .as_strided({batch, count, W / head, head}, {apart * W, W, head, 1},
                                t.storage_offset() + first * W)
                    .transpose(1, 2);
            };
            const at::Tensor out = networks::device_attention(
                by_head(q, n, a.begin, rows_apart),
                by_head(keys_values, a.keys, a.branch * slots, branches_apart * slots),
                by_head(keys_values, a.keys, a.branch * slots + w.tokens, branches_apart * slots), whole_chunks(n));
            const at::Tensor rows = out.transpose(1, 2).reshape({batch * n, W});
            if (b && b->begin == a.end) {
                pieces.emplace_back(a.begin, rows);
            } else {
                pieces.emplace_back(a.begin, rows.narrow(0, 0, n));
                if (b) pieces.emplace_back(b->begin, rows.narrow(0, n, n));
            }
        }
        std::sort(pieces.begin(), pieces.end(),
                  [](const auto& x, const auto& y) { return x.first < y.first; });
        std::vector<at::Tensor> list;
        for (const auto& [begin, rows] : pieces) list.push_back(rows);
        return list.size() == 1 ? list[0] : at::cat(list);
    }

    // q: [here, D], of which those with the same text stand together. [here, D]
    at::Tensor cross_attention(const at::Tensor& q, size_t layer) const {
        std::vector<at::Tensor> pieces;
        for (size_t i = 0; i < pass.spans.size();) {
            const TextContext& context = Window::Impl::text_of(work[pass.spans[i].work], text);
            const int64_t begin = std::max(pass.spans[i].begin, first) - first;
            int64_t end = begin;
            for (;
                 i < pass.spans.size() && &Window::Impl::text_of(work[pass.spans[i].work], text) == &context;
                 i++)
                end = std::min(pass.spans[i].end, last) - first;
            if (end <= begin) continue;
            auto by_head = [&](const at::Tensor& t) {
                return t.view({1, t.size(0), heads, head}).transpose(1, 2);
            };
            const TextContext::LayerKeys& keys = context.layers[layer];
            pieces.push_back(networks::device_attention(by_head(q.narrow(0, begin, end - begin)), by_head(keys.k),
                                                        by_head(keys.v), whole_chunks(end - begin))
                                 .transpose(1, 2)
                                 .reshape({end - begin, D}));
        }
        return pieces.size() == 1 ? pieces[0] : pieces.empty() ? q : at::cat(pieces);
    }

    // Keys and values of a layer as attention reads them, [slots, W]: those that are kept in bytes as far as somebody
    // looks at them. What this forward makes itself comes on top.
    at::Tensor open_keys(size_t layer) const {
        const size_t at = w.layer_slot(layer);
        if (!w.shape.keys_in_bytes) return w.layer_keys[at];
        for (int b = 0; b < w.shape.branches; b++) {
            int64_t keys = 0;
            for (const Span& span : pass.spans)
                if (span.branch == b) keys = std::max(keys, span.keys);
            for (int64_t first : {b * 2 * w.tokens, (b * 2 + 1) * w.tokens}) {
                auto part = [&](const at::Tensor& t) { return t.narrow(0, first, keys); };
                networks::restore(part(w.layer_keys[at]), part(w.layer_scales[at]), part(w.open_keys));
            }
        }
        return w.open_keys;
    }

    // From the norm in y, [here, D], to what comes out of self-attention, [here, D].
    at::Tensor attend(size_t i, const Layer& l, const at::Tensor& y, Cancel cancel) const {
        const at::Tensor keys_values = open_keys(i);
        const auto project = [&](const at::Tensor& q, const at::Tensor& kv, int64_t value_slots) {
            ops.project({product(l.self_qkv, y), l.self_norm_q, l.self_norm_k, w.rotary.cosine, w.rotary.sine, token, q,
                         kv, slot, value_slots});
        };
        at::Tensor q;
        if (share) {
            const at::Tensor parts = at::empty({3, here, D}, y.options());
            if (here) project(parts[0], parts.narrow(0, 1, 2).view({2 * here, D}), here);
            share->put(parts);
            share->to_heads(cancel);
            q = share->of_heads(TokenShare::QUERY);
            at::Tensor to = keys_values;
            to.index_copy_(0, slots.to(at::kLong), share->keys_values());
        } else {
            q = at::empty_like(y);
            project(q, keys_values, w.tokens);
        }
        if (w.shape.keys_in_bytes)
            networks::quantize(keys_values, w.layer_keys[w.layer_slot(i)], w.layer_scales[w.layer_slot(i)],
                               slots);
        q = self_attention(q, keys_values);
        if (!share) return q;
        share->attended(q);
        share->to_rows();
        return share->take();
    }

    // x: [here, D], in place; y: [here, D], its norm for this layer on entry, for the next one on exit.
    void layer(size_t i, const Layer& l, const at::Tensor& x, const at::Tensor& y, Cancel cancel,
               const Trace& trace) const {
        at::Tensor delta = product(l.self_out, attend(i, l, y, cancel));
        if (trace) trace("block0_self_attn", delta.narrow(0, 0, w.chunk_tokens).to(at::kFloat));
        ops.residual_norm({x, delta, mod(i, 2), l.norm3_weight, l.norm3_bias, 0, group, y});

        delta = product(l.cross_q, y);
        ops.rms(delta, l.cross_norm_q);
        delta = product(l.cross_out, cross_attention(delta, i));
        if (trace) trace("block0_cross_attn", delta.narrow(0, 0, w.chunk_tokens).to(at::kFloat));
        ops.residual_norm({x, delta, {}, mod(i, 4), mod(i, 3), 1, group, y});

        at::Tensor hidden;
        if (ops.products_end_in_gelu()) {
            hidden = at::_addmm_activation(l.ffn_in.stored_bias(), y, l.ffn_in.weight().t(), 1, 1,
                                           /*use_gelu=*/true);
        } else {
            hidden = product(l.ffn_in, y);
            at::gelu_(hidden, "tanh");
        }
        delta = product(l.ffn_out, hidden);
        hidden.reset();
        // The norm of the next layer, in the same pass; that of the head is taken where the tokens that were not
        // computed join.
        const bool last = i + 1 == m.layers.size();
        ops.residual_norm({x, delta, mod(i, 5), last ? at::Tensor() : mod(i + 1, 1),
                           last ? at::Tensor() : mod(i + 1, 0), 1, group, last ? at::Tensor() : y});
        if (trace) trace("block0_out", x.narrow(0, 0, w.chunk_tokens).to(at::kFloat));
    }

    // The leader's: all rows of the team, [rows, D]. Another's: its own, of which nothing more is made.
    at::Tensor collect(const at::Tensor& x) const {
        if (!share->leads()) {
            share->collect(x, {});
            return x;
        }
        const at::Tensor all = at::empty({pass.rows, D}, x.options());
        all.narrow(0, first, here).copy_(x);
        share->collect(x, all);
        return all;
    }

    // Outputs of the tokens of all work, [tokens of all work, D]: computed, or in + residual.
    at::Tensor outputs(const at::Tensor& in, const at::Tensor& x) const {
        if (!w.shape.remembers) return x; // every token was computed, in order
        const at::Tensor out = at::empty({out_row.size(0), D}, in.options());
        for (size_t i = 0; i < work.size(); i++) {
            const ChunkWork& item = work[i];
            const Window::Impl::Memory& kept = w.memory_of(item);
            const bool remember = item.remember;
            ops.reuse({in.narrow(0, place_of(item.chunk), w.chunk_tokens), x,
                       out_row.narrow(0, pass.first_slot[i], w.chunk_tokens),
                       remember ? kept.residual : at::Tensor(), remember ? kept.slope : at::Tensor(),
                       remember ? kept.level : at::Tensor(), static_cast<float>(item.level),
                       out.narrow(0, pass.first_slot[i], w.chunk_tokens)});
        }
        return out;
    }

    void put_velocities(const at::Tensor& out) const {
        const at::Tensor head =
            m.head_modulation + w.time.e().index_select(0, times).unsqueeze(1); // [timesteps, 2, D]
        for (size_t i = 0; i < work.size();) {
            size_t end = i;
            while (end < work.size() && work[end].output) end++;
            if (end == i) {
                i++;
                continue;
            }
            const int64_t first = pass.first_slot[i], rows = static_cast<int64_t>(end - i) * w.chunk_tokens;
            const at::Tensor y = at::empty({rows, D}, out.options());
            ops.residual_norm({out.narrow(0, first, rows),
                               {},
                               {},
                               head.select(1, 1),
                               head.select(1, 0),
                               1,
                               out_group.narrow(0, first, rows),
                               y});
            const at::Tensor patches = product(m.head, y);
            for (; i < end; i++)
                w.velocity[work[i].branch]
                    .narrow(1, work[i].chunk * w.chunk_frames, w.chunk_frames)
                    .copy_(unpatchify(patches.narrow(0, pass.first_slot[i] - first, w.chunk_tokens),
                                      m.config.out_channels, w.chunk_frames, w.shape.height, w.shape.width));
        }
    }

    // [frame_tokens, D]: the output of the last frame of the chunk before, of this forward where it is in the work
    // with motion.
    at::Tensor last_before(const at::Tensor& out, size_t index) const {
        const ChunkWork& item = work[index];
        if (item.chunk == 0) return {};
        for (size_t i = 0; i < index; i++)
            if (work[i].branch == item.branch && work[i].chunk == item.chunk - 1 && work[i].motion)
                return out.narrow(0, pass.first_slot[i] + w.chunk_tokens - w.frame_tokens, w.frame_tokens);
        const Window::Impl::Memory& memory = w.memory_of({item.branch, item.chunk - 1});
        return memory.has_last ? memory.last : at::Tensor();
    }

    // Window::change of all work that asked for it. The one wait.
    void compare(const at::Tensor& out) const {
        std::vector<size_t> moved;
        for (size_t i = 0; i < work.size(); i++)
            if (work[i].motion) moved.push_back(i);
        if (moved.empty()) return;
        const at::Tensor change = at::zeros({static_cast<int64_t>(moved.size()), w.chunk_tokens},
                                            at::TensorOptions(m.device).dtype(at::kFloat));
        for (size_t n = 0; n < moved.size(); n++) {
            const size_t i = moved[n];
            const at::Tensor here = out.narrow(0, pass.first_slot[i], w.chunk_tokens),
                             to = change[static_cast<int64_t>(n)], before = last_before(out, i);
            const int64_t rest = w.chunk_tokens - w.frame_tokens;
            w.changes[i].has_previous = before.defined();
            if (before.defined())
                ops.change(here.narrow(0, 0, w.frame_tokens), before, to.narrow(0, 0, w.frame_tokens));
            ops.change(here.narrow(0, w.frame_tokens, rest), here.narrow(0, 0, rest),
                       to.narrow(0, w.frame_tokens, rest));
        }
        for (size_t i : moved) {
            Window::Impl::Memory& kept = w.memory_of(work[i]);
            kept.last.copy_(
                out.narrow(0, pass.first_slot[i] + w.chunk_tokens - w.frame_tokens, w.frame_tokens));
            kept.has_last = true;
        }
        const at::Tensor host = change.to(at::kCPU); // behind everything else, so it waits for that too
        w.waited = true;
        for (size_t n = 0; n < moved.size(); n++) {
            const float* next = host.const_data_ptr<float>() + static_cast<int64_t>(n) * w.chunk_tokens;
            w.changes[moved[n]].tokens.assign(next, next + w.chunk_tokens);
        }
    }
};

} // namespace

void Window::Impl::forward_device(const at::Tensor& latents, std::span<const TextContext* const> text,
                                  std::span<const ChunkWork> work, Cancel cancel, const Trace& trace) {
    if (work.empty()) return; // of a team whose branch is all reused, a rank that is not its leader
    if (!share) cancel.check(); // a team stops together
    const bool traced = trace && pass.rows == chunk_tokens * static_cast<int64_t>(work.size());
    if (share) share->begin(pass.rows);
    Forward f{*this, model, pass, text, work};
    f.tell();
    const at::Tensor in = f.embed(latents);
    at::Tensor x = in.index_select(0, f.source);
    if (traced) trace("tokens_in", in.narrow(0, 0, chunk_tokens).to(at::kFloat));
    if (pass.rows) {
        const at::Tensor y = at::empty_like(x);
        f.ops.residual_norm({x, {}, {}, f.mod(0, 1), f.mod(0, 0), 1, f.group, y});
        networks::LayersOfForward layers(model.streamed, cancel);
        for (size_t i = 0; i < model.layers.size(); i++) {
            if (!share) cancel.check();
            const networks::LayerInUse layer(layers, model.layers, i);
            f.layer(i, layer.get(), x, y, cancel, traced && i == 0 ? trace : Trace());
        }
        if (share) x = f.collect(x);
    }
    if (traced) trace("block_last_out", x.narrow(0, 0, chunk_tokens).to(at::kFloat));
    count.add({networks::Call::GEMM, in.size(0), model.patch.out(), model.patch.in(), 0});
    count_layers(text, work);

    const at::Tensor out = f.outputs(in, x);
    f.put_velocities(out);
    const auto put_out = std::count_if(work.begin(), work.end(), [](const ChunkWork& w) { return w.output; });
    if (put_out)
        count.add({networks::Call::GEMM, put_out * chunk_tokens, model.head.out(), model.head.in(), 0});
    f.compare(out);
}

} // namespace mc::wan_dit
