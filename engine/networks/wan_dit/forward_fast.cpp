// SPDX-License-Identifier: LGPL-2.1-or-later
// The forward as it runs on the CPU. Rows are the tokens of the chunks and branches in the work; a thread takes a
// block of them through a whole layer, and threads meet once per layer, when all keys and values are written. Its
// plain version is forward_plain.cpp.
#include <ATen/ATen.h>
#include <algorithm>
#include <c10/core/InferenceMode.h>
#include <cstring>

#include "engine/networks/blocks.h"
#include "engine/networks/wan_dit/token_share.h"
#include "engine/networks/wan_dit/window.h"

namespace mc::wan_dit {

using kernels::Store;

namespace {

char* row_at(const at::Tensor& t, int64_t r) {
    return static_cast<char*>(const_cast<void*>(t.const_data_ptr())) + r * t.stride(0) * t.element_size();
}
float* floats(const at::Tensor& t) {
    return static_cast<float*>(const_cast<void*>(t.const_data_ptr()));
}

// Shift, 1 + scale and gate of every layer, shift and 1 + scale of the head, for the timesteps of a forward.
class Modulation {
  public:
    Modulation(const Transformer::Impl& m, const TimeTable& time, const std::vector<int64_t>& timesteps)
        : D_(m.config.width), layer_(static_cast<int64_t>(timesteps.size()) * 6 * D_),
          values_(m.layers.size() * layer_ + timesteps.size() * 2 * D_) {
        float* to = values_.data();
        auto put = [&](const float* table, const float* embedding, int64_t parts, int64_t step,
                       int64_t scale) {
            for (int64_t part = 0; part < parts; part++, table += D_, embedding += step)
                for (int64_t i = 0; i < D_; i++)
                    *to++ = table[i] + embedding[i] + (part % 3 == scale ? 1.f : 0.f);
        };
        for (size_t l = 0; l < m.layers.size(); l++)
            for (int64_t t : timesteps)
                put(floats(m.layers[l].modulation), floats(time.e0()) + time.row(t) * 6 * D_, 6, D_, 1);
        for (int64_t t : timesteps)
            put(floats(m.head_modulation), floats(time.e()) + time.row(t) * D_, 2, 0, 1);
    }
    // Part j of the first timestep; the next one's are 6 D floats further, the head's 2 D.
    const float* of(size_t layer, int64_t j) const { return values_.data() + layer * layer_ + j * D_; }
    const float* of_head(int64_t j) const { return values_.data() + (values_.size() - head_size()) + j * D_; }

  private:
    size_t head_size() const { return static_cast<size_t>(layer_ / 3); }
    const int64_t D_, layer_;
    std::vector<float> values_;
};

struct RowBlock : networks::Range {};   // rows of the pass, all of span `of`
struct TokenBlock : networks::Range {}; // tokens of the chunk of work `of`, the first one 0

// One forward: the window and what this pass runs through it.
struct Forward {
    Window::Impl& window;
    const Transformer::Impl& model;
    const Window::Impl::Pass& pass;
    std::span<const TextContext* const> text;
    std::span<const ChunkWork> work;
    Modulation mod;
    std::vector<int32_t> token_group =
        std::vector<int32_t>(window.tokens);     // of the window's tokens: index of their timestep
    at::Tensor self_trace, cross_trace, x_trace; // [rows, D] float32, of layer 0, when traced
    const int64_t D = model.config.width;
    const float eps = static_cast<float>(model.config.eps);
    using Worker = networks::Blocks::Worker;

    // x += gate * delta; y = norm(x) * mult + add. delta nullptr: y alone.
    void residual_norm(const RowBlock& b, const float* delta, int64_t delta_stride, const float* gate,
                       const float* mult, const float* add, bool per_timestep, const at::Tensor& y) const {
        kernels::ResidualNorm a{};
        a.x = row_at(window.x, b.begin);
        a.x_stride = D;
        a.delta = delta;
        a.delta_stride = delta_stride;
        a.gate = gate;
        a.mult = mult;
        a.add = add;
        a.group = gate ? pass.group.data() + b.begin : nullptr;
        a.group_norm = per_timestep ? pass.group.data() + b.begin : nullptr;
        a.group_stride = 6 * D;
        a.out = mult ? row_at(y, 0) : nullptr;
        a.out_stride = y.stride(0);
        a.rows = b.rows();
        a.width = D;
        a.eps = eps;
        a.store = model.store;
        kernels::residual_norm(a);
    }
    void rms_rope(const RowBlock& b, const Worker& worker, const at::Tensor& gain, bool rotate, void* out,
                  int64_t stride) const {
        kernels::RmsRope a{};
        a.in = floats(worker.c);
        a.in_stride = worker.c.stride(0);
        a.gain = floats(gain);
        if (rotate) {
            a.cosine = floats(window.rotary.cosine);
            a.sine = floats(window.rotary.sine);
            a.position = pass.token.data() + b.begin;
        }
        a.out = out;
        a.out_stride = stride;
        a.rows = b.rows();
        a.width = D;
        a.head = model.config.head();
        a.eps = eps;
        a.store = model.store;
        kernels::rms_rope(a);
    }
    // next: what the thread reads afterwards.
    void linear(const networks::Linear& l, const at::Tensor& x, int64_t rows, const Worker& worker,
                const void* next) const {
        l.rows(l.whole(), x.const_data_ptr(), x.stride(0), rows, floats(worker.c), worker.c.stride(0), next);
    }

    // The patch embeddings of a block of tokens of the window. latents: [C, frames, h, w], close together.
    void embed(const float* latents, int64_t first, int64_t rows, const Worker& worker) const {
        const int64_t C = model.config.in_channels, H = window.shape.height, W = window.shape.width,
                      columns = W / 2;
        const int64_t plane = window.shape.frames * H * W;
        for (int64_t r = 0; r < rows; r++) { // channel slowest, then row and column of the patch
            const int64_t frame = (first + r) / window.frame_tokens,
                          place = (first + r) % window.frame_tokens;
            const float* from = latents + (frame * H + place / columns * 2) * W + place % columns * 2;
            float* to = floats(worker.c) + r * worker.c.stride(0);
            for (int64_t c = 0; c < C; c++, from += plane, to += 4)
                to[0] = from[0], to[1] = from[1], to[2] = from[W], to[3] = from[W + 1];
            store(to - 4 * C, row_at(worker.y, r), 4 * C);
        }
        model.patch.rows(model.patch.whole(), row_at(worker.y, 0), worker.y.stride(0), rows, floats(worker.c),
                         worker.c.stride(0));
        for (int64_t r = 0; r < rows; r++)
            store(floats(worker.c) + r * worker.c.stride(0), row_at(window.in, first + r), D);
    }
    void store(const float* from, char* to, int64_t n) const {
        if (model.store == Store::BF16)
            return kernels::to_bf16(from, reinterpret_cast<kernels::bf16*>(to), n);
        std::copy_n(from, n, reinterpret_cast<float*>(to));
        if (model.store == Store::F32_AS_BF16) kernels::round_to_bf16(reinterpret_cast<float*>(to), n);
    }

    // From the modulated norm in y to queries, keys and values of a layer.
    void project(const RowBlock& b, size_t i, const Worker& worker) const {
        const Layer& l = model.layers[i];
        const int64_t n = b.rows();
        if (window.share) return project_apart(b, l, worker);
        const kernels::KeyValues kv = keys_of(i, b);
        kernels::expect_keys(kv, pass.token.data() + b.begin, 0, n);
        linear(l.self_q, worker.y, n, worker, l.self_k.first_panel());
        rms_rope(b, worker, l.self_norm_q, true, row_at(window.q, b.begin), D);
        linear(l.self_k, worker.y, n, worker, l.self_v.first_panel());
        rms_rope(b, worker, l.self_norm_k, true, row_at(worker.k, 0), worker.k.stride(0));
        linear(l.self_v, worker.y, n, worker, kv.memory);
        kernels::write_keys(kv, pass.token.data() + b.begin, 0, row_at(worker.k, 0), worker.k.stride(0),
                            floats(worker.c), worker.c.stride(0), n);
    }
    kernels::KeyValues keys_of(size_t layer, const RowBlock& b) const {
        return model.key_values(window.keys_values[window.slot_of(layer, pass.spans[b.of].branch)],
                                window.tokens, window.heads());
    }

    // The same of rows that a team divides, on their way to the ranks of the heads.
    void project_apart(const RowBlock& b, const Layer& l, const Worker& worker) const {
        const int64_t n = b.rows();
        const auto put = [&](TokenShare::Part part) {
            for (int64_t r = 0; r < n; r++) window.share->put(part, b.begin + r, row_at(worker.k, r));
        };
        linear(l.self_q, worker.y, n, worker, l.self_k.first_panel());
        rms_rope(b, worker, l.self_norm_q, true, row_at(worker.k, 0), worker.k.stride(0));
        put(TokenShare::QUERY);
        linear(l.self_k, worker.y, n, worker, l.self_v.first_panel());
        rms_rope(b, worker, l.self_norm_k, true, row_at(worker.k, 0), worker.k.stride(0));
        put(TokenShare::KEY);
        linear(l.self_v, worker.y, n, worker, nullptr);
        for (int64_t r = 0; r < n; r++) store(floats(worker.c) + r * worker.c.stride(0), row_at(worker.k, r), D);
        put(TokenShare::VALUE);
    }
    // Keys and values of a block of one member's rows, and then its attention: of all rows, of the heads here.
    void keep_keys(const RowBlock& b, size_t i, const Worker& worker) const {
        const TokenShare& share = *window.share;
        const int64_t W = share.width();
        const void* from = share.of_heads(TokenShare::VALUE, b.begin);
        const float* values = static_cast<const float*>(from);
        if (model.store == Store::BF16) {
            values = floats(worker.c);
            for (int64_t r = 0; r < b.rows(); r++)
                kernels::from_bf16(static_cast<const kernels::bf16*>(from) + r * W,
                                   floats(worker.c) + r * worker.c.stride(0), W);
        }
        kernels::write_keys(keys_of(i, b), pass.token.data() + b.begin, 0, share.of_heads(TokenShare::KEY, b.begin), W,
                            values, model.store == Store::BF16 ? worker.c.stride(0) : W, b.rows());
    }
    void attend_heads(const RowBlock& b, size_t i) const {
        TokenShare& share = *window.share;
        const kernels::KeyRange keys{keys_of(i, b), static_cast<size_t>(pass.spans[b.of].keys)};
        kernels::Attention a{};
        a.q = share.of_heads(TokenShare::QUERY, b.begin);
        a.ranges = &keys;
        a.range_count = 1;
        a.out = share.attended(b.begin);
        a.q_stride = a.out_stride = share.width();
        for (int64_t h = 0; h < share.heads(); h++) kernels::attention(a, h, 0, b.rows());
    }

    // From the queries to the layer's output, and to the norm that follows it.
    void attend_and_feed(const RowBlock& b, size_t i, const Worker& worker) const {
        const Layer& l = model.layers[i];
        const Window::Impl::Span& span = pass.spans[b.of];
        const int64_t n = b.rows(), heads = model.config.heads, c_stride = worker.c.stride(0),
                      y_stride = worker.y.stride(0);
        float* c = floats(worker.c);
        kernels::Attention a{};
        if (window.share) {
            for (int64_t r = 0; r < n; r++) window.share->take(b.begin + r, row_at(worker.y, r));
        } else {
            a.q = row_at(window.q, b.begin);
            const kernels::KeyRange self{keys_of(i, b), static_cast<size_t>(span.keys)};
            a.ranges = &self;
            a.range_count = 1;
            a.out = row_at(worker.y, 0);
            a.q_stride = D;
            a.out_stride = y_stride;
            for (int64_t h = 0; h < heads; h++) kernels::attention(a, h, 0, n);
        }
        linear(l.self_out, worker.y, n, worker, l.cross_q.first_panel());
        if (i == 0) trace_rows(self_trace, b, worker);
        residual_norm(b, c, c_stride, mod.of(i, 2), floats(l.norm3_weight), floats(l.norm3_bias), false,
                      worker.y);

        const TextContext& context = Window::Impl::text_of(work[span.work], text);
        linear(l.cross_q, worker.y, n, worker, context.layers[i].packed.const_data_ptr());
        rms_rope(b, worker, l.cross_norm_q, false, row_at(worker.y, 0), y_stride);
        const int64_t text_rows = context.key_bias.size(0);
        a = {};
        a.q = a.out = row_at(worker.y, 0);
        const kernels::KeyRange cross{model.key_values(context.layers[i].packed, text_rows, heads),
                                      static_cast<size_t>(text_rows)};
        a.ranges = &cross;
        a.range_count = 1;
        a.key_bias = floats(context.key_bias);
        a.q_stride = a.out_stride = y_stride;
        for (int64_t h = 0; h < heads; h++) kernels::attention(a, h, 0, n);
        linear(l.cross_out, worker.y, n, worker, l.ffn_in.first_panel());
        if (i == 0) trace_rows(cross_trace, b, worker);
        residual_norm(b, c, c_stride, nullptr, mod.of(i, 4), mod.of(i, 3), true, worker.y);

        const void* after = i + 1 < model.layers.size() ? model.layers[i + 1].self_q.first_panel() : nullptr;
        const int64_t F = model.config.ffn, part = networks::Blocks::ffn_part(F);
        for (int64_t f = 0; f < F; f += part) {
            const int64_t outs = std::min(part, F - f);
            l.ffn_in.rows({f, outs, 0, D}, worker.y.const_data_ptr(), y_stride, n, floats(worker.h),
                          worker.h.stride(0), l.ffn_out.first_panel());
            kernels::gelu(floats(worker.h), worker.h.stride(0), row_at(worker.a, 0), worker.a.stride(0), n,
                          outs, model.store);
            l.ffn_out.rows({0, D, f, outs, f > 0}, row_at(worker.a, 0), worker.a.stride(0), n, c, c_stride,
                           after);
        }
        // The norm of the next layer, in the same pass; that of the head is taken in finish(),
        // where the tokens that were not computed join.
        const bool last = i + 1 == model.layers.size();
        residual_norm(b, c, c_stride, mod.of(i, 5), last ? nullptr : mod.of(i + 1, 1),
                      last ? nullptr : mod.of(i + 1, 0), true, worker.y);
        if (i == 0) trace_rows(x_trace, b);
    }

    // Copies of a layer's insides for a trace. Threads do not inherit the inference mode.
    void trace_rows(const at::Tensor& traced, const RowBlock& b) const {
        c10::InferenceMode guard;
        if (traced.defined())
            traced.narrow(0, b.begin, b.rows()).copy_(window.x.narrow(0, b.begin, b.rows()));
    }
    void trace_rows(const at::Tensor& traced, const RowBlock& b, const Worker& worker) const {
        c10::InferenceMode guard;
        if (traced.defined())
            traced.narrow(0, b.begin, b.rows()).copy_(worker.c.narrow(0, 0, b.rows()).narrow(1, 0, D));
    }

    // The output of a block of a chunk's tokens: computed, or in + residual; and through the head, the velocity.
    // b.of is the number of the work, rows are tokens of its chunk.
    void finish(const TokenBlock& b, const Worker& worker) const {
        const ChunkWork& item = work[b.of];
        const int64_t n = b.rows(), token = item.chunk * window.chunk_tokens + b.begin;
        const int32_t* token_row = pass.token_row.data() + pass.first_slot[b.of] + b.begin;
        void* out = nullptr; // of these tokens, close together
        if (window.shape.remembers) {
            const Window::Impl::Memory& memory = window.memory[item.branch * window.chunks + item.chunk];
            out = row_at(window.out, pass.first_slot[b.of] + b.begin);
            kernels::Reuse a{};
            a.in = row_at(window.in, token);
            a.x = window.x.const_data_ptr();
            a.row = token_row;
            a.residual = item.remember ? row_at(memory.residual, b.begin) : nullptr;
            a.slope = item.remember && memory.slope.defined() ? row_at(memory.slope, b.begin) : nullptr;
            a.level = a.slope ? floats(memory.level) + b.begin : nullptr;
            a.level_now = static_cast<float>(item.level);
            a.out = out;
            a.rows = n;
            a.width = D;
            a.store = model.store;
            kernels::reuse(a);
        } else {
            out = row_at(window.x, token_row[0]); // every token was computed, in order
        }
        if (!item.output) return;

        kernels::ResidualNorm a{};
        a.x = out;
        a.x_stride = D;
        a.mult = mod.of_head(1);
        a.add = mod.of_head(0);
        a.group_norm = token_group.data() + token;
        a.group_stride = 2 * D;
        a.out = row_at(worker.y, 0);
        a.out_stride = worker.y.stride(0);
        a.rows = n;
        a.width = D;
        a.eps = eps;
        a.store = model.store;
        kernels::residual_norm(a);
        // [n, 4C]: row, column of the patch slowest, channel fastest
        model.head.rows(model.head.whole(), row_at(worker.y, 0), worker.y.stride(0), n, floats(worker.c),
                        worker.c.stride(0));
        const int64_t C = model.config.out_channels, H = window.shape.height, W = window.shape.width,
                      columns = W / 2;
        float* velocity = floats(window.velocity[item.branch]);
        for (int64_t t = 0; t < n; t++) {
            float* from = floats(worker.c) + t * worker.c.stride(0);
            if (model.precision == Precision::BFLOAT16) kernels::round_to_bf16(from, 4 * C);
            const int64_t frame = (token + t) / window.frame_tokens,
                          place = (token + t) % window.frame_tokens;
            const int64_t y = place / columns * 2, x = place % columns * 2;
            for (int64_t py = 0; py < 2; py++)
                for (int64_t px = 0; px < 2; px++)
                    for (int64_t c = 0; c < C; c++)
                        velocity[((c * window.shape.frames + frame) * H + y + py) * W + x + px] =
                            from[(py * 2 + px) * C + c];
        }
    }

    // Window::change of a block of tokens within one frame, once every output is there.
    void compare(const TokenBlock& b) const {
        const int64_t frame = b.begin / window.frame_tokens;
        const void* before = nullptr;
        if (frame > 0) {
            before = row_at(window.out, pass.first_slot[b.of] + b.begin - window.frame_tokens);
        } else if (const at::Tensor last = last_before(b.of); last.defined()) {
            before = row_at(last, b.begin);
        }
        if (!before) return;
        kernels::frame_change(row_at(window.out, pass.first_slot[b.of] + b.begin), D, before, D, b.rows(), D,
                              model.store, window.changes[b.of].tokens.data() + b.begin);
    }
    // [frame_tokens, D]: the output of the last frame of the chunk before, of this forward where it is in the work
    // with motion.
    at::Tensor last_before(size_t index) const {
        const ChunkWork& item = work[index];
        if (item.chunk == 0) return {};
        for (size_t i = 0; i < index; i++)
            if (work[i].branch == item.branch && work[i].chunk == item.chunk - 1 && work[i].motion)
                return window.out.narrow(0, pass.first_slot[i] + window.chunk_tokens - window.frame_tokens,
                                         window.frame_tokens);
        const Window::Impl::Memory& memory = window.memory[item.branch * window.chunks + item.chunk - 1];
        return memory.has_last ? memory.last : at::Tensor();
    }
};

} // namespace

void Window::Impl::forward_fast(const at::Tensor& latents, std::span<const TextContext* const> text,
                                std::span<const ChunkWork> work, Cancel cancel, const Trace& trace) {
    if (!share) cancel.check(); // a team stops together
    const bool traced = trace && pass.rows == chunk_tokens * static_cast<int64_t>(work.size());
    Forward f{*this, model, pass, text, work, Modulation(model, time, pass.distinct)};
    if (traced)
        for (at::Tensor* t : {&f.self_trace, &f.cross_trace, &f.x_trace})
            *t = at::empty({pass.rows, model.config.width});
    for (size_t t = 0; t < f.token_group.size(); t++) f.token_group[t] = pass.frame_group[t / frame_tokens];

    // Patch embeddings. Both branches share them.
    std::vector<int> embedded;
    std::vector<networks::Block> list;
    for (const ChunkWork& item : work) {
        if (std::find(embedded.begin(), embedded.end(), item.chunk) != embedded.end()) continue;
        embedded.push_back(item.chunk);
        const int64_t first = item.chunk * chunk_tokens;
        blocks.cut(0, first, first + chunk_tokens, blocks.size_for(chunk_tokens), list);
    }
    const at::Tensor plain_latents = latents.contiguous();
    blocks.each(list, [&](const networks::Block& b, const networks::Blocks::Worker& worker) {
        f.embed(floats(plain_latents), b.begin, b.rows(), worker);
    });
    count.add({networks::Call::GEMM, static_cast<int64_t>(embedded.size()) * chunk_tokens, model.patch.out(),
               model.patch.in(), 0});

    // The layers.
    std::vector<RowBlock> rows, rows_of_team;
    if (share) share->begin(pass.rows);
    for (size_t s = 0; s < pass.spans.size(); s++) {
        const Span& span = pass.spans[s];
        if (!share) {
            blocks.cut(s, span.begin, span.end, blocks.size_for(pass.rows), rows);
            continue;
        }
        const auto cut = [&](int64_t first, int64_t last, int64_t of, std::vector<RowBlock>& list) {
            first = std::max(first, span.begin), last = std::min(last, span.end);
            if (first < last) blocks.cut(s, first, last, blocks.size_for(of), list);
        };
        cut(share->first(), share->last(), share->last() - share->first(), rows);
        for (int m = 0; m < share->count(); m++)
            cut(share->first_of(m), share->first_of(m + 1), pass.rows, rows_of_team);
    }
    blocks.each(rows, [&](const RowBlock& b, const networks::Blocks::Worker& worker) {
        for (int64_t r = b.begin; r < b.end; r++)
            std::memcpy(row_at(x, r), row_at(in, pass.token[r]), x.nbytes() / x.size(0));
        f.residual_norm(b, nullptr, 0, nullptr, f.mod.of(0, 1), f.mod.of(0, 0), true, worker.y);
        f.project(b, 0, worker);
    });
    if (traced) trace("tokens_in", x.narrow(0, 0, pass.rows).to(at::kFloat));
    const size_t layers = model.layers.size();
    for (size_t i = 0; i < layers && pass.rows; i++) {
        if (share) {
            share->to_heads(cancel);
            blocks.each(rows_of_team, [&](const RowBlock& b, const networks::Blocks::Worker& worker) {
                f.keep_keys(b, i, worker);
            });
            blocks.each(rows_of_team,
                        [&](const RowBlock& b, const networks::Blocks::Worker&) { f.attend_heads(b, i); });
            share->to_rows();
        } else {
            cancel.check();
        }
        blocks.each(rows, [&](const RowBlock& b, const networks::Blocks::Worker& worker) {
            f.attend_and_feed(b, i, worker);
            if (i + 1 < layers) f.project(b, i + 1, worker);
        });
        if (traced && i == 0) {
            trace("block0_self_attn", f.self_trace);
            trace("block0_cross_attn", f.cross_trace);
            trace("block0_out", f.x_trace);
        }
    }
    if (share && pass.rows) share->collect(x.narrow(0, share->first(), share->last() - share->first()), x);
    if (traced) trace("block_last_out", x.narrow(0, 0, pass.rows).to(at::kFloat));
    count_layers(text, work);

    // Outputs, velocities, motion.
    std::vector<TokenBlock> tokens_out;
    int64_t put_out = 0;
    for (size_t i = 0; i < work.size(); i++) {
        if (work[i].output || work[i].remember || work[i].motion)
            blocks.cut(i, 0, chunk_tokens, blocks.size_for(chunk_tokens * static_cast<int64_t>(work.size())),
                        tokens_out);
        put_out += work[i].output;
    }
    blocks.each(tokens_out,
                [&](const TokenBlock& b, const networks::Blocks::Worker& worker) { f.finish(b, worker); });
    if (put_out)
        count.add({networks::Call::GEMM, put_out * chunk_tokens, model.head.out(), model.head.in(), 0});

    std::vector<TokenBlock> moved;
    for (size_t i = 0; i < work.size(); i++) {
        if (!work[i].motion) continue;
        changes[i].has_previous = f.last_before(i).defined();
        changes[i].tokens.resize(chunk_tokens);
        for (int64_t t = 0; t < chunk_tokens; t += frame_tokens) moved.push_back({{i, t, t + frame_tokens}});
    }
    blocks.each(moved, [&](const TokenBlock& b, const networks::Blocks::Worker&) { f.compare(b); });
    for (size_t i = 0; i < work.size(); i++) {
        if (!work[i].motion) continue;
        Memory& kept = memory_of(work[i]);
        kept.last.copy_(out.narrow(0, pass.first_slot[i] + chunk_tokens - frame_tokens, frame_tokens));
        kept.has_last = true;
    }
}

void Window::Impl::count_layers(std::span<const TextContext* const> text,
                                std::span<const ChunkWork> work) {
    if (!pass.rows) return;
    const int64_t D = model.config.width, R = pass.rows, layers = model.config.layers,
                  heads = model.config.heads;
    count.add({networks::Call::GEMM, R, D, D, 0},
              6 * layers); // q, k, v, out of self-attention; q, out of cross-attention
    count.add({networks::Call::GEMM, R, model.config.ffn, D, 0}, layers);
    count.add({networks::Call::GEMM, R, D, model.config.ffn, 0}, layers);
    for (const Span& s : pass.spans) {
        count.add({networks::Call::ATTENTION, s.end - s.begin, s.keys, D, heads}, layers);
        const TextContext& context = text_of(work[s.work], text);
        count.add({networks::Call::ATTENTION, s.end - s.begin, context.layers[0].k.size(0), D, heads,
                   context.key_bias.defined()},
                  layers);
    }
}

} // namespace mc::wan_dit
