// The forward as the formulas say it (skyreels_v2.md 1.3), operation by operation: what the fast one is tested
// against, and what runs on devices other than the CPU. bfloat16 is rounded where Diffusers rounds (1.5).
#include <ATen/ATen.h>

#include "engine/transformer/window.h"

namespace mc::transformer {

at::Tensor Window::Impl::forward_plain(const at::Tensor& latents, const TextContext& text, Cancel cancel,
                                       const Trace& trace) {
    const auto& m = model;
    const auto& c = m.config;
    const int64_t D = c.width;
    // Activations are float32 tensors that hold numbers of the precision.
    auto linear = [&](const Linear& l, const at::Tensor& t) { return m.rounded(m.apply(l, t, &count)); };
    auto norm = [&](const at::Tensor& t) { return at::layer_norm(t, {D}, {}, {}, c.eps); };
    auto rms = [&](const at::Tensor& t, const at::Tensor& gain) {
        return m.rounded(t * at::rsqrt(t.square().mean(1, true) + c.eps) * gain);
    };
    auto rope = [&](const at::Tensor& t) { // [tokens, D]
        at::Tensor pairs = t.view({tokens, c.heads, c.head() / 2, 2});
        at::Tensor a = pairs.select(3, 0), b = pairs.select(3, 1);
        at::Tensor cosine = rotary.cosine.unsqueeze(1), sine = rotary.sine.unsqueeze(1);
        return m.rounded(at::stack({a * cosine - b * sine, a * sine + b * cosine}, 3).view({tokens, D}));
    };
    auto attend = [&](const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const at::Tensor& bias) {
        at::Tensor out = at::empty({q.size(0), D}, q.options().dtype(m.type()));
        attention(q.to(m.type()), k.to(m.type()), v.to(m.type()), bias, c.heads, out, &count);
        return m.rounded(out.to(at::kFloat));
    };
    at::Tensor frame = at::tensor(frame_group).to(m.device).repeat_interleave(frame_tokens);
    // [tokens, D]: row j of a [distinct, n, D] table
    auto per_token = [&](const at::Tensor& table, int64_t j) { return table.select(1, j).index_select(0, frame); };

    at::Tensor x = linear(m.patch, m.rounded(patchify(latents.to(m.device))));
    if (trace) trace("tokens_in", x);
    for (size_t i = 0; i < m.layers.size(); i++) {
        cancel.check();
        const Layer& l = m.layers[i];
        at::Tensor mod = time.e0 + l.modulation;

        at::Tensor y = m.rounded(norm(x) * (1 + per_token(mod, 1)) + per_token(mod, 0));
        at::Tensor qkv_rows = linear(l.qkv, y);
        at::Tensor q = rope(rms(qkv_rows.narrow(1, 0, D), l.self_norm_q));
        at::Tensor k = rope(rms(qkv_rows.narrow(1, D, D), l.self_norm_k));
        at::Tensor v = qkv_rows.narrow(1, 2 * D, D);
        std::vector<at::Tensor> attended;
        for (const Span& s : spans())
            attended.push_back(attend(q.slice(0, s.begin, s.end), k.slice(0, 0, s.keys), v.slice(0, 0, s.keys), {}));
        at::Tensor self = linear(l.self_out, at::cat(attended));
        if (trace && i == 0) trace("block0_self_attn", self);
        x = m.rounded(x + self * per_token(mod, 2));

        at::Tensor z = m.rounded(norm(x) * l.norm3_weight + l.norm3_bias);
        at::Tensor cq = rms(linear(l.cross_q, z), l.cross_norm_q);
        at::Tensor cross = linear(l.cross_out, attend(cq, text.layers[i].k, text.layers[i].v, text.key_bias));
        if (trace && i == 0) trace("block0_cross_attn", cross);
        x = m.rounded(x + cross);

        y = m.rounded(norm(x) * (1 + per_token(mod, 4)) + per_token(mod, 3));
        at::Tensor h = m.rounded(at::gelu(linear(l.ffn_in, y), "tanh"));
        x = m.rounded(x + linear(l.ffn_out, h) * per_token(mod, 5));
        if (trace && i == 0) trace("block0_out", x);
    }
    if (trace) trace("block_last_out", x);
    at::Tensor head = m.head_modulation + time.e.unsqueeze(1); // [distinct, 2, D]
    at::Tensor y = m.rounded(norm(x) * (1 + per_token(head, 1)) + per_token(head, 0));
    return unpatchify(linear(m.head, y), c.out_channels, shape.frames, shape.height, shape.width);
}

} // namespace mc::transformer
