// The forward as it runs on the CPU: GEMM and attention by the library, everything between them fused into one
// pass over the rows (kernels/kernels.h). Its readable twin is forward_plain.cpp.
#include <ATen/ATen.h>

#include "engine/transformer/window.h"
#include "engine/processor.h"

namespace mc::transformer {

using kernels::Store;

static char* row(const at::Tensor& t, int64_t r) {
    return static_cast<char*>(const_cast<void*>(t.const_data_ptr())) + r * t.stride(0) * t.element_size();
}

// Divides rows among the threads; small pieces would cost more than they bring.
template <typename F> static void over_rows(int64_t rows, const F& body) {
    parallel_for(0, rows, 16, [&](int64_t begin, int64_t end) { body(begin, end - begin); });
}

at::Tensor Window::Impl::forward_fast(const at::Tensor& latents, const TextContext& text, Cancel cancel,
                                      const Trace& trace) {
    const auto& m = model;
    const auto& c = m.config;
    const int64_t D = c.width;
    const float eps = static_cast<float>(c.eps);
    const int32_t* group = row_group.const_data_ptr<int32_t>();
    auto traced = [&](const char* name, const at::Tensor& t, const at::Tensor& bias) {
        if (trace) trace(name, t.to(at::kFloat) + (bias.defined() ? bias : at::zeros({1})));
    };

    // x += gate * (delta + bias) where there is a delta; y = norm(x) * mult + add where there is a mult.
    auto residual_norm = [&](const Linear* from, const float* gate, const float* mult, const float* add,
                             int64_t stride, bool grouped) {
        over_rows(tokens, [&](int64_t r, int64_t rows) {
            kernels::ResidualNorm a{};
            a.x = row(x, r);
            a.delta = from ? row(delta, r) : nullptr;
            a.bias = from ? from->bias() : nullptr;
            a.gate = gate;
            a.mult = mult;
            a.add = add;
            a.group = gate ? group + r : nullptr;
            a.group_norm = grouped ? group + r : nullptr;
            a.group_stride = stride;
            a.out = mult ? row(y, r) : nullptr;
            a.rows = rows;
            a.width = D;
            a.eps = eps;
            a.store = m.store;
            kernels::residual_norm(a);
        });
    };
    auto rms_rope = [&](const at::Tensor& t, int64_t column, const float* bias, const at::Tensor& gain, bool rotate) {
        over_rows(tokens, [&](int64_t r, int64_t rows) {
            kernels::RmsRope a{};
            void* at = row(t, r) + column * t.element_size();
            a.in = at;
            a.bias = bias;
            a.gain = gain.const_data_ptr<float>();
            if (rotate) {
                a.cosine = rotary.cosine.const_data_ptr<float>() + r * (c.head() / 2);
                a.sine = rotary.sine.const_data_ptr<float>() + r * (c.head() / 2);
            }
            a.out = at;
            a.rows = rows;
            a.width = D;
            a.head = c.head();
            a.in_stride = a.out_stride = t.stride(0);
            a.eps = eps;
            a.store = m.store;
            kernels::rms_rope(a);
        });
    };

    at::Tensor patches = patchify(latents).to(m.type()); // [tokens, 4C]
    if (m.store == Store::F32_AS_BF16) patches = m.rounded(patches);
    m.patch.run(patches, x, &count);
    over_rows(tokens, [&](int64_t r, int64_t rows) {
        kernels::bias_add(row(x, r), m.patch.bias(), rows, D, D, m.store);
    });
    traced("tokens_in", x, {});

    // [distinct, 6, D]: shift, 1 + scale, gate of self-attention, then of the FFN
    auto modulation_of = [&](const Layer& l) {
        at::Tensor mod = time.e0 + l.modulation;
        mod.select(1, 1).add_(1);
        mod.select(1, 4).add_(1);
        return mod;
    };
    at::Tensor mod = modulation_of(m.layers[0]);
    auto part = [&](const at::Tensor& t, int64_t j) { return t.const_data_ptr<float>() + j * D; };
    residual_norm(nullptr, nullptr, part(mod, 1), part(mod, 0), 6 * D, true);

    for (size_t i = 0; i < m.layers.size(); i++) {
        cancel.check();
        const Layer& l = m.layers[i];
        // y holds the modulated norm of x
        l.qkv.run(y, qkv, &count);
        rms_rope(qkv, 0, l.qkv.bias(), l.self_norm_q, true);
        rms_rope(qkv, D, l.qkv.bias() + D, l.self_norm_k, true);
        over_rows(tokens, [&](int64_t r, int64_t rows) {
            kernels::bias_add(row(qkv, r) + 2 * D * qkv.element_size(), l.qkv.bias() + 2 * D, rows, D, 3 * D, m.store);
        });
        at::Tensor q = qkv.narrow(1, 0, D), k = qkv.narrow(1, D, D), v = qkv.narrow(1, 2 * D, D);
        for (const Span& s : spans())
            attention(q.slice(0, s.begin, s.end), k.slice(0, 0, s.keys), v.slice(0, 0, s.keys), {}, c.heads,
                      y.slice(0, s.begin, s.end), &count);
        if (m.store == Store::F32_AS_BF16)
            over_rows(tokens, [&](int64_t r, int64_t rows) {
                kernels::round_to_bf16(reinterpret_cast<float*>(row(y, r)), rows * D);
            });
        l.self_out.run(y, delta, &count);
        if (i == 0) traced("block0_self_attn", delta, l.self_out.bias_tensor());
        residual_norm(&l.self_out, part(mod, 2), l.norm3_weight.const_data_ptr<float>(),
                      l.norm3_bias.const_data_ptr<float>(), 6 * D, false);

        l.cross_q.run(y, delta, &count);
        rms_rope(delta, 0, l.cross_q.bias(), l.cross_norm_q, false);
        attention(delta, text.layers[i].k, text.layers[i].v, text.key_bias, c.heads, y, &count);
        if (m.store == Store::F32_AS_BF16)
            over_rows(tokens, [&](int64_t r, int64_t rows) {
                kernels::round_to_bf16(reinterpret_cast<float*>(row(y, r)), rows * D);
            });
        l.cross_out.run(y, delta, &count);
        if (i == 0) traced("block0_cross_attn", delta, l.cross_out.bias_tensor());
        residual_norm(&l.cross_out, nullptr, part(mod, 4), part(mod, 3), 6 * D, true);

        for (int64_t r = 0; r < tokens; r += ffn_rows) {
            int64_t rows = std::min(ffn_rows, tokens - r);
            at::Tensor h = hidden.narrow(0, 0, rows);
            l.ffn_in.run(y.narrow(0, r, rows), h, &count);
            over_rows(rows, [&](int64_t hr, int64_t n) {
                kernels::bias_gelu(row(h, hr), l.ffn_in.bias(), n, c.ffn, m.store);
            });
            l.ffn_out.run(h, delta.narrow(0, r, rows), &count);
        }
        // The residual and the norm of whatever comes next, the next layer or the head, in one pass.
        at::Tensor old = mod;
        bool last = i + 1 == m.layers.size();
        if (last) {
            at::Tensor head = m.head_modulation + time.e.unsqueeze(1); // [distinct, 2, D]: shift, scale
            head.select(1, 1).add_(1);
            mod = at::cat({head, at::empty({head.size(0), 4, D})}, 1); // the row length of the others
        } else {
            mod = modulation_of(m.layers[i + 1]);
        }
        residual_norm(&l.ffn_out, part(old, 5), part(mod, 1), part(mod, 0), 6 * D, true);
        if (i == 0) traced("block0_out", x, {});
        if (last) traced("block_last_out", x, {});
    }

    at::Tensor out = at::empty({tokens, m.head.out()}, x.options());
    m.head.run(y, out, &count);
    velocity.copy_(unpatchify(m.rounded(out.to(at::kFloat) + m.head.bias_tensor()), c.out_channels, shape.frames,
                              shape.height, shape.width));
    return velocity;
}

} // namespace mc::transformer
