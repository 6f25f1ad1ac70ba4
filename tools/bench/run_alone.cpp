#include "tools/bench/run_alone.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <chrono>
#include <vector>

namespace mc::bench {
namespace {

using transformer::Call;

// Buffers of one call, laid out as the transformer lays them out.
struct Prepared {
    Call call;
    int64_t count;
    at::Tensor x, y;                 // GEMM: [m, k], [m, n]
    std::vector<at::Tensor> weights; // GEMM: [n, k] each
    at::Tensor q, k, v, out, bias;   // attention: [rows, width]; [n] float32 or undefined

    Prepared(const Call& c, int64_t count, int64_t a_round, at::ScalarType type) : call(c), count(count) {
        auto random = [&](at::IntArrayRef shape) { return at::randn(shape).to(type); };
        if (c.kind == Call::GEMM) {
            x = random({c.m, c.k});
            y = at::empty({c.m, c.n}, x.options());
            for (int64_t i = 0; i < a_round; i++) weights.push_back(random({c.n, c.k}));
            return;
        }
        out = at::empty({c.m, c.k}, type);
        if (c.key_bias) { // to the prompt
            q = random({c.m, c.k});
            k = random({c.n, c.k});
            v = random({c.n, c.k});
            bias = at::zeros({c.n});
        } else {
            at::Tensor qkv = random({std::max(c.m, c.n), 3 * c.k});
            q = qkv.narrow(1, 0, c.k).narrow(0, 0, c.m);
            k = qkv.narrow(1, c.k, c.k).narrow(0, 0, c.n);
            v = qkv.narrow(1, 2 * c.k, c.k).narrow(0, 0, c.n);
        }
    }
    void run(int64_t i) {
        if (call.kind == Call::GEMM)
            at::mm_out(y, x, weights[i % weights.size()].t());
        else
            transformer::attention(q, k, v, bias, call.heads, out, nullptr);
    }
};

} // namespace

Alone run_alone(const transformer::CallCount& calls, kernels::Store store, int64_t forwards) {
    std::vector<Prepared> all;
    for (const auto& [call, count] : calls.counts())
        all.emplace_back(call, count, (count + forwards - 1) / forwards, transformer::type_of(store));
    for (Prepared& p : all) p.run(0); // the libraries choose and build their kernels on the first call
    Alone seconds;
    for (int64_t round = 0; round < forwards; round++)
        for (Prepared& p : all) {
            auto start = std::chrono::steady_clock::now();
            for (int64_t i = round * p.count / forwards; i < (round + 1) * p.count / forwards; i++) p.run(i);
            (p.call.kind == Call::GEMM ? seconds.gemm : seconds.attention) +=
                std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
        }
    return seconds;
}

} // namespace mc::bench
