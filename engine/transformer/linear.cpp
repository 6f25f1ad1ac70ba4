#include "engine/transformer/linear.h"

#include <ATen/ATen.h>
#include "engine/processor.h"
#include <algorithm>

#include "kernels/attention.h"

namespace mc::transformer {

int64_t CallCount::flop() const {
    int64_t sum = 0;
    for (const auto& [call, count] : counts_) sum += call.flop() * count;
    return sum;
}

kernels::Store store_for(Precision precision, at::Device device) {
    if (precision == Precision::FLOAT32) return kernels::Store::F32;
    return !device.is_cpu() || native_bfloat16() ? kernels::Store::BF16 : kernels::Store::F32_AS_BF16;
}

Linear Linear::load(const Weights& weights, const std::vector<std::string>& names, int64_t out, int64_t in,
                    Precision precision) {
    at::ScalarType type = precision == Precision::BFLOAT16 ? at::kBFloat16 : at::kFloat;
    std::vector<at::Tensor> w, b;
    for (const std::string& name : names) {
        w.push_back(weights.get(name + ".weight", {out, in}, type));
        b.push_back(weights.get(name + ".bias", {out}, type).to(at::kFloat));
    }
    return names.size() == 1 ? Linear(w[0], b[0]) : Linear(at::cat(w), at::cat(b));
}

void Linear::run(const at::Tensor& x, at::Tensor y, CallCount* count) const {
    if (count) count->add({Call::GEMM, x.size(0), out(), in(), 0});
    if (weight_.scalar_type() == x.scalar_type()) {
        at::mm_out(y, x, weight_.t());
        return;
    }
    // bfloat16 weights beside float32 activations: one matrix at a time is widened, into memory that stays.
    thread_local at::Tensor scratch;
    if (!scratch.defined() || scratch.numel() < weight_.numel()) scratch = at::empty({weight_.numel()}, at::kFloat);
    at::Tensor wide = scratch.narrow(0, 0, weight_.numel()).view(weight_.sizes());
    wide.copy_(weight_);
    at::mm_out(y, x, wide.t());
}

void attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const at::Tensor& key_bias,
               int64_t heads, at::Tensor out, CallCount* count) {
    int64_t m = q.size(0), n = k.size(0), width = q.size(1), head = width / heads;
    if (count) count->add({Call::ATTENTION, m, n, width, heads, key_bias.defined()});
    if (q.is_cpu() && q.scalar_type() == at::kFloat) {
        kernels::Attention a{};
        a.q = q.const_data_ptr<float>();
        a.k = k.const_data_ptr<float>();
        a.v = v.const_data_ptr<float>();
        a.key_bias = key_bias.defined() ? key_bias.const_data_ptr<float>() : nullptr;
        a.out = out.mutable_data_ptr<float>();
        a.keys = n;
        a.head = head;
        a.q_stride = q.stride(0);
        a.k_stride = k.stride(0);
        a.v_stride = v.stride(0);
        a.out_stride = out.stride(0);
        // Each task lays out its head's keys anew, so no more tasks than keep every thread busy.
        const int64_t per_head = std::max<int64_t>(1, std::min((4 * thread_count() + heads - 1) / heads, m / 128));
        parallel_for(0, heads * per_head, 1, [&](int64_t begin, int64_t end) {
            for (int64_t task = begin; task < end; task++) {
                int64_t h = task / per_head, part = task % per_head;
                kernels::attention(a, h, m * part / per_head, m * (part + 1) / per_head);
            }
        });
        return;
    }
    auto by_head = [&](const at::Tensor& t) { return t.unflatten(1, {heads, head}).transpose(0, 1).unsqueeze(0); };
    std::optional<at::Tensor> mask;
    if (key_bias.defined()) mask = key_bias.view({1, 1, 1, n}).expand({1, heads, m, n}); // float32: a logarithm needs its digits
    at::Tensor a = at::scaled_dot_product_attention(by_head(q), by_head(k), by_head(v), mask); // [1, heads, m, head]
    out.unflatten(1, {heads, head}).copy_(a.squeeze(0).transpose(0, 1));
}

} // namespace mc::transformer
