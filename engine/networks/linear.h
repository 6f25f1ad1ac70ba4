// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// A linear layer and the attention call: the only places of the transformer where FLOP are spent, counted as
// they run.
#include <ATen/core/Tensor.h>
#include <compare>
#include <cstdint>
#include <map>
#include <optional>

#include "engine/huge_memory.h"
#include "engine/networks/weights.h"
#include "kernels/kernels.h"

namespace mc::networks {

// What was run, by shape: 2 m n k FLOP for a GEMM [m, k] x [k, n]; 4 m n k for attention of m queries to n keys
// of k = width channels in `heads` heads.
struct Call {
    enum Kind { GEMM, ATTENTION } kind;
    int64_t m, n, k, heads;
    bool key_bias = false; // attention with a number added to each key's scores
    int64_t groups = 0;    // heads of keys and values, each shared by as many of `heads`; 0: one each
    auto operator<=>(const Call&) const = default;
    int64_t flop() const { return (kind == GEMM ? 2 : 4) * m * n * k; }
};

class CallCount {
  public:
    void add(const Call& call, int64_t times = 1) {
        counts_[call] += times;
        flop_ += call.flop() * times;
    }
    void add(const CallCount& other) {
        for (const auto& [call, count] : other.counts_) add(call, count);
    }
    const std::map<Call, int64_t>& counts() const { return counts_; }
    int64_t flop() const { return flop_; }

  private:
    std::map<Call, int64_t> counts_;
    int64_t flop_ = 0;
};

// Type of activations in memory for a precision on this processor: float32 that holds bfloat16 numbers where
// the processor multiplies bfloat16 more slowly than float32.
kernels::Store store_for(Precision precision, at::Device device);
inline at::ScalarType type_of(kernels::Store store) {
    return store == kernels::Store::BF16 ? at::kBFloat16 : at::kFloat;
}
inline int64_t element_bytes(kernels::Store store) {
    return store == kernels::Store::BF16 ? 2 : 4;
}
// The type whose numbers are kept, in either kind of memory: that of weights for such activations.
inline at::ScalarType grid_of(kernels::Store store) {
    return store == kernels::Store::F32 ? at::kFloat : at::kBFloat16;
}

// What a network computes in, and where.
struct Numerics {
    Precision precision = Precision::FLOAT32;
    at::Device device = at::kCPU;
    kernels::Store store = kernels::Store::F32; // of activations

    Numerics() = default;
    // store: for tests; else what is best for the precision on the device of the weights.
    Numerics(const Weights& weights, Precision precision, std::optional<kernels::Store> store)
        : precision(precision), device(weights.device()), store(store ? *store : store_for(precision, device)) {}
    at::ScalarType type() const { return type_of(store); }
    // Rounds to the precision's grid: what the references do to activations that they keep in bfloat16.
    at::Tensor rounded(const at::Tensor& t) const { return mc::rounded(t, precision); }
};

// y = x W^T + b, W as stored: [out, in]; b may be none.
class Linear {
  public:
    // How W lies in memory: as it is, for whole tensors and any device; or packed, for kernels::gemm over a few rows at
    // a time.
    enum class Layout { PLAIN, PACKED };

    Linear() = default;
    // weight: [out, in] float32 or bfloat16, bias: [out] float32 or undefined. PACKED: float32 for Store::F32, else
    // bfloat16. The arena gives what PACKED weights lie in.
    Linear(at::Tensor weight, at::Tensor bias, Layout layout, kernels::Store store, HugeArena& arena);
    // Loads "name.weight" and "name.bias"; several names are put one below the other: [sum of outs, in]. in_bytes: W is
    // kept in eight bits, with a scale for every out; the CPU, which keeps W otherwise, takes the numbers that come of
    // that.
    static Linear load(const Weights& weights, const std::vector<std::string>& names, int64_t out, int64_t in,
                       Precision precision, Layout layout, kernels::Store store, HugeArena& arena,
                       bool in_bytes = false);

    // PACKED, on the calling thread: y[r] = x[r] W^T + b for outs [first_out, first_out + outs), with only ins
    // [first_in, first_in + ins) of x and W. x: type of the store, rows x_stride elements apart; y: float32.
    // accumulate: y += instead, without b.
    struct Part {
        int64_t first_out, outs, first_in, ins;
        bool accumulate = false;
    };
    Part whole() const { return {0, out(), 0, in()}; }
    // next: what the thread will read afterwards, fetched meanwhile; may be nullptr.
    void rows(const Part& part, const void* x, int64_t x_stride, int64_t rows, float* y, int64_t y_stride,
              const void* next = nullptr) const;
    const void* first_panel() const { return weight_.const_data_ptr(); }

    const at::Tensor& bias() const { return bias_; } // [out] float32, or undefined
    // [out], type of the weight: what at::addmm takes. On devices, where there is a bias.
    const at::Tensor& stored_bias() const { return stored_bias_; }
    // PLAIN: outs [first_out, first_out + outs) of it, in the same memory.
    Linear part(int64_t first_out, int64_t outs) const;
    at::Tensor weight() const; // [out, in]; where it is PACKED or kept in bytes, made anew
    int64_t out() const { return out_; }
    int64_t in() const { return in_; }
    kernels::Store store() const { return store_; }
    int64_t bytes() const {
        int64_t sum = 0;
        for (const at::Tensor* t : {&weight_, &bias_, &stored_bias_, &scale_})
            if (t->defined()) sum += static_cast<int64_t>(t->nbytes());
        return sum;
    }
    // All that it keeps, for those who keep it elsewhere (layer_stream.h).
    std::vector<at::Tensor*> tensors();
    Linear on(at::Device device) const; // PLAIN

  private:
    at::Tensor weight_, bias_; // PACKED: bytes
    at::Tensor stored_bias_;
    at::Tensor scale_; // [out, 1] float32, of a weight in bytes
    int64_t out_ = 0, in_ = 0;
    Layout layout_ = Layout::PLAIN;
    kernels::Store store_ = kernels::Store::F32;
};

} // namespace mc::networks
