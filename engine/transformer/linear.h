#pragma once
// A linear layer and the attention call: the only places of the transformer where FLOP are spent, counted as
// they run.
#include <ATen/core/Tensor.h>
#include <compare>
#include <cstdint>
#include <map>

#include "engine/weights.h"
#include "kernels/kernels.h"

namespace mc::transformer {

// What was run, by shape: 2 m n k FLOP for a GEMM [m, k] x [k, n]; 4 m n k for attention of m queries to n keys
// of k = width channels in `heads` heads.
struct Call {
    enum Kind { GEMM, ATTENTION } kind;
    int64_t m, n, k, heads;
    bool key_bias = false; // attention with a number added to each key's scores
    auto operator<=>(const Call&) const = default;
    int64_t flop() const { return (kind == GEMM ? 2 : 4) * m * n * k; }
};

class CallCount {
  public:
    void add(const Call& call) { counts_[call]++; }
    void add(const CallCount& other) {
        for (const auto& [call, count] : other.counts_) counts_[call] += count;
    }
    const std::map<Call, int64_t>& counts() const { return counts_; }
    int64_t flop() const;

  private:
    std::map<Call, int64_t> counts_;
};

// Type of activations in memory for a precision on this processor: float32 that holds bfloat16 numbers where
// the processor multiplies bfloat16 more slowly than float32.
kernels::Store store_for(Precision precision, at::Device device);
inline at::ScalarType type_of(kernels::Store store) {
    return store == kernels::Store::BF16 ? at::kBFloat16 : at::kFloat;
}

// y = x W^T, W as stored: [out, in]. The bias is added by whoever reads y, in the same pass.
class Linear {
  public:
    Linear() = default;
    Linear(at::Tensor weight, at::Tensor bias) : weight_(std::move(weight)), bias_(std::move(bias)) {}
    // Loads "name.weight" and "name.bias"; several names are put one below the other: [sum of outs, in].
    static Linear load(const Weights& weights, const std::vector<std::string>& names, int64_t out, int64_t in,
                       Precision precision);

    // x: [m, in], y: [m, out], both float32 or both bfloat16. The rounding to bfloat16 of y is left to the
    // reader where y is float32.
    void run(const at::Tensor& x, at::Tensor y, CallCount* count) const;
    const float* bias() const { return bias_.const_data_ptr<float>(); }
    const at::Tensor& bias_tensor() const { return bias_; }   // [out] float32
    const at::Tensor& weight() const { return weight_; } // [out, in]
    int64_t out() const { return weight_.size(0); }
    int64_t in() const { return weight_.size(1); }
    int64_t bytes() const { return weight_.nbytes() + bias_.nbytes(); }

  private:
    at::Tensor weight_, bias_;
};

// out[r, head] = softmax(q[r, head] . k[., head] / sqrt(d) + key_bias) v[., head]
// q: [m, D] (rows q_stride apart), k, v: [n, D] (rows stride(0) apart), out: [m, D]; D = heads * d.
// key_bias: [n] float32 or undefined.
void attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const at::Tensor& key_bias,
               int64_t heads, at::Tensor out, CallCount* count);

} // namespace mc::transformer
