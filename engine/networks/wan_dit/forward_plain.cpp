// SPDX-License-Identifier: LGPL-2.1-or-later
// The forward as the formulas say it (docs/algorithms.md#block), operation by operation and one piece of work after the
// other: what the optimised ones, forward_fast.cpp and forward_device.cpp, are tested against. bfloat16 is rounded
// where Diffusers rounds (docs/algorithms.md#precision).
#include <ATen/ATen.h>

#include "engine/device.h"
#include "engine/networks/wan_dit/window.h"

namespace mc::wan_dit {

namespace {

// Tokens of one chunk and branch on their way through the network. Activations are float32 tensors that hold numbers of
// the precision.
struct Plain {
    Window::Impl& w;
    const Transformer::Impl& m;
    const ChunkWork& item;
    const TextContext& text;
    at::Tensor token; // [rows] int64: of the window
    at::Tensor time;  // [rows] int64: row of the time table
    const int64_t D = m.config.width;

    at::Tensor linear(const networks::Linear& l, const at::Tensor& t) const {
        return m.rounded(m.apply(l, t, &w.count));
    }
    at::Tensor norm(const at::Tensor& t) const { return at::layer_norm(t, {D}, {}, {}, m.config.eps); }
    at::Tensor rms(const at::Tensor& t, const at::Tensor& gain) const {
        return m.rounded(t * at::rsqrt(t.square().mean(1, true) + m.config.eps) * gain);
    }
    at::Tensor rope(const at::Tensor& t) const { // [rows, D]
        at::Tensor pairs = t.view({t.size(0), m.config.heads, m.config.head() / 2, 2});
        at::Tensor a = pairs.select(3, 0), b = pairs.select(3, 1);
        at::Tensor cosine = w.rotary.cosine.index_select(0, token).unsqueeze(1);
        at::Tensor sine = w.rotary.sine.index_select(0, token).unsqueeze(1);
        return m.rounded(at::stack({a * cosine - b * sine, a * sine + b * cosine}, 3).view_as(t));
    }
    at::Tensor attended(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                        const at::Tensor& bias) const {
        at::Tensor out = at::empty({q.size(0), D}, q.options().dtype(m.type()));
        attend(q.to(m.type()), k.to(m.type()), v.to(m.type()), bias, m.config.heads, out, &w.count);
        return m.rounded(out.to(at::kFloat));
    }
    // [rows, D]: row j of a [timesteps, n, D] table
    at::Tensor per_token(const at::Tensor& table, int64_t j) const {
        return table.select(1, j).index_select(0, time);
    }

    at::Tensor layer(size_t i, at::Tensor x, const Trace& trace) const {
        const Layer& l = m.layers[i];
        at::Tensor mod = w.time.e0() + l.modulation;

        at::Tensor y = m.rounded(norm(x) * (1 + per_token(mod, 1)) + per_token(mod, 0));
        at::Tensor q = rope(rms(linear(l.self_q, y), l.self_norm_q));
        at::Tensor &k = w.keys[w.slot_of(i, item.branch)], &v = w.values[w.slot_of(i, item.branch)];
        k.index_copy_(0, token, rope(rms(linear(l.self_k, y), l.self_norm_k)).to(m.type()));
        v.index_copy_(0, token, linear(l.self_v, y).to(m.type()));
        at::Tensor self = linear(l.self_out, self_attention(q, k, v));
        if (trace && i == 0) trace("block0_self_attn", self);
        x = m.rounded(x + self * per_token(mod, 2));

        at::Tensor z = m.rounded(norm(x) * l.norm3_weight + l.norm3_bias);
        at::Tensor cq = rms(linear(l.cross_q, z), l.cross_norm_q);
        at::Tensor cross =
            linear(l.cross_out, attended(cq, text.layers[i].k, text.layers[i].v, text.key_bias));
        if (trace && i == 0) trace("block0_cross_attn", cross);
        x = m.rounded(x + cross);

        y = m.rounded(norm(x) * (1 + per_token(mod, 4)) + per_token(mod, 3));
        at::Tensor h = m.rounded(at::gelu(linear(l.ffn_in, y), "tanh"));
        x = m.rounded(x + linear(l.ffn_out, h) * per_token(mod, 5));
        if (trace && i == 0) trace("block0_out", x);
        return x;
    }

    at::Tensor self_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v) const {
        if (w.shape.attention == Attention::FULL) return attended(q, k, v, {});
        if (w.shape.attention == Attention::KV) {
            const int64_t keys = (item.chunk + 1) * w.chunk_tokens;
            return attended(q, k.narrow(0, 0, keys), v.narrow(0, 0, keys), {});
        }
        std::vector<at::Tensor> chunks;
        const int64_t step = w.shape.chunk * w.frame_tokens;
        for (int64_t t = 0; t < w.tokens; t += step)
            chunks.push_back(
                attended(q.narrow(0, t, step), k.narrow(0, 0, t + step), v.narrow(0, 0, t + step), {}));
        return at::cat(chunks);
    }

    // x: [rows, D] of the tokens of the chunk, time: their rows of the time table. [C, chunk frames, h, w]
    at::Tensor velocity(const at::Tensor& x) const {
        at::Tensor head = m.head_modulation + w.time.e().unsqueeze(1); // [timesteps, 2, D]
        at::Tensor y = m.rounded(norm(x) * (1 + per_token(head, 1)) + per_token(head, 0));
        return unpatchify(linear(m.head, y), m.config.out_channels, w.chunk_frames, w.shape.height,
                          w.shape.width);
    }
};

// What the cache keeps of the tokens at `rows` of a chunk (kernels::Reuse has the formulas). x, in: [rows, D].
void remember(Window::Impl::Memory& kept, const at::Tensor& rows, const at::Tensor& x, const at::Tensor& in,
              double level, const Transformer::Impl& m) {
    at::Tensor fresh = m.rounded(x - in);
    if (kept.slope.defined()) {
        at::Tensor passed = (level - kept.level.index_select(0, rows)).unsqueeze(1);
        at::Tensor slope = (fresh - kept.residual.index_select(0, rows).to(at::kFloat)) / passed;
        slope = at::where((passed == 0).logical_or(passed.isnan()), at::zeros_like(slope), slope);
        kept.slope.index_copy_(0, rows, slope.to(kept.slope.scalar_type()));
        kept.level.index_fill_(0, rows, level);
    }
    kept.residual.index_copy_(0, rows, fresh.to(kept.residual.scalar_type()));
}

// [chunk tokens, D]: the output of tokens that do not go through the layers.
at::Tensor reused(const Window::Impl::Memory& kept, const at::Tensor& in, double level,
                  const Transformer::Impl& m) {
    at::Tensor out = in + kept.residual.to(at::kFloat);
    if (kept.slope.defined()) out = out + kept.slope.to(at::kFloat) * (level - kept.level).unsqueeze(1);
    return m.rounded(out);
}

// Window::change, its tokens where the device is: [chunk tokens]. out: [chunk tokens, D].
at::Tensor change_of(Window::Impl& w, const ChunkWork& item, const at::Tensor& out, Window::Change& change) {
    Window::Impl::Memory& kept = w.memory_of(item);
    const at::Tensor before = item.chunk ? w.memory_of({item.branch, item.chunk - 1}).last : at::Tensor();
    change.has_previous = item.chunk && w.memory_of({item.branch, item.chunk - 1}).has_last;
    at::Tensor first = change.has_previous ? before.to(at::kFloat) : out.narrow(0, 0, w.frame_tokens);
    at::Tensor previous = at::cat({first, out.narrow(0, 0, w.chunk_tokens - w.frame_tokens)});
    at::Tensor tokens = (out - previous).abs().mean(1) / (previous.abs().mean(1) + 1e-8);
    kept.last.copy_(out.narrow(0, w.chunk_tokens - w.frame_tokens, w.frame_tokens));
    kept.has_last = true;
    return tokens;
}

// Which tokens a piece of work computes, where its device is. All int64.
struct Indices {
    at::Tensor rows;        // [rows]: of the chunk
    at::Tensor token, time; // [rows]: of the window; row of the time table
    at::Tensor chunk_time;  // [chunk tokens]: the same of every token
};

// Of all work, in one piece: each upload is a call, and from ordinary memory a wait.
std::vector<Indices> indices_of(const Window::Impl& w, std::span<const ChunkWork> work) {
    std::vector<int64_t> numbers;
    std::vector<int64_t> counts;
    for (size_t i = 0; i < work.size(); i++) {
        const int64_t base = work[i].chunk * w.chunk_tokens;
        const int32_t* row = w.pass.token_row.data() + w.pass.first_slot[i];
        std::vector<int64_t> local, chunk_time;
        for (int64_t t = 0; t < w.chunk_tokens; t++) {
            const int32_t group = w.pass.frame_group[(base + t) / w.frame_tokens];
            chunk_time.push_back(w.time.row(w.pass.distinct[group]));
            if (row[t] >= 0) local.push_back(t);
        }
        counts.push_back(static_cast<int64_t>(local.size()));
        numbers.insert(numbers.end(), local.begin(), local.end());
        for (int64_t t : local) numbers.push_back(base + t);
        for (int64_t t : local) numbers.push_back(chunk_time[t]);
        numbers.insert(numbers.end(), chunk_time.begin(), chunk_time.end());
    }
    const at::Tensor all = upload(at::tensor(numbers, at::kLong), w.model.device);
    std::vector<Indices> list;
    int64_t begin = 0;
    auto next = [&](int64_t count) {
        begin += count;
        return all.narrow(0, begin - count, count);
    };
    for (int64_t n : counts) {
        Indices& x = list.emplace_back();
        x.rows = next(n), x.token = next(n), x.time = next(n), x.chunk_time = next(w.chunk_tokens);
    }
    return list;
}

} // namespace

void Window::Impl::forward_plain(const at::Tensor& latents, std::span<const TextContext* const> text,
                                 std::span<const ChunkWork> work, Cancel cancel, const Trace& trace) {
    const std::vector<Indices> indices = indices_of(*this, work);
    std::vector<at::Tensor> moved;
    for (size_t i = 0; i < work.size(); i++) {
        const ChunkWork& item = work[i];
        const auto& [rows_here, token, rows_time, chunk_time] = indices[i];
        Plain p{*this, model, item, text_of(item, text), token, rows_time};
        const bool traced = trace && i == 0 && rows_here.size(0) == chunk_tokens;
        const Trace& layer_trace = traced ? trace : Trace();

        at::Tensor patches = patchify(
            latents.narrow(1, item.chunk * chunk_frames, chunk_frames).contiguous().to(model.device));
        at::Tensor in = p.linear(model.patch, model.rounded(patches)); // [chunk tokens, D]
        if (traced) trace("tokens_in", in);
        at::Tensor x = in.index_select(0, rows_here);
        for (size_t l = 0; l < model.layers.size() && x.size(0); l++) {
            cancel.check();
            x = p.layer(l, x, layer_trace);
        }
        if (traced) trace("block_last_out", x);

        at::Tensor out = x;
        if (x.size(0) < chunk_tokens)
            out = reused(memory_of(item), in, item.level, model).index_copy_(0, rows_here, x);
        if (item.remember)
            remember(memory_of(item), rows_here, x, in.index_select(0, rows_here), item.level, model);
        if (item.motion) moved.push_back(change_of(*this, item, out, changes[i]));
        if (!item.output) continue;
        p.time = chunk_time;
        velocity[item.branch].narrow(1, item.chunk * chunk_frames, chunk_frames).copy_(p.velocity(out));
    }
    if (moved.empty()) return;
    const at::Tensor host = at::cat(moved).to(at::kCPU); // behind everything else, so it waits for that too
    waited = true;
    const float* next = host.const_data_ptr<float>();
    for (size_t i = 0; i < work.size(); i++)
        if (work[i].motion) changes[i].tokens.assign(next, next + chunk_tokens), next += chunk_tokens;
}

} // namespace mc::wan_dit
