// SPDX-License-Identifier: LGPL-2.1-or-later
#include "tools/bench/run_alone.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <vector>

#include "engine/networks/blocks.h"
#include "kernels/attention.h"

namespace mc::bench {
namespace {

using networks::Block;
using networks::Blocks;
using networks::Call;
using networks::Linear;

// Buffers of one call, laid out as the transformer lays them out.
struct Prepared {
    Call call;
    int64_t count;
    kernels::Store store;
    at::Tensor x, y;             // GEMM: [m, k], [m, n]; attention: q and out, [m, width]
    std::vector<Linear> weights; // GEMM: [n, k] each
    std::vector<at::Tensor> rows; // the same for the library, [n, k] each, and where it writes to, [m, n]
    at::Tensor out;
    at::Tensor keys, bias;       // attention: packed; [n] float32 or undefined
    HugeArena arena;
    Blocks blocks;
    std::vector<Block> list;

    Prepared(const Call& c, int64_t count, int64_t a_round, kernels::Store store)
        : call(c), count(count), store(store), blocks(c.k, c.n, 0, store) {
        const at::ScalarType type = networks::type_of(store);
        x = at::randn({c.m, c.k}).to(type);
        blocks.cut(0, 0, c.m, blocks.size_for(c.m), list);
        if (c.kind == Call::GEMM) {
            const at::ScalarType held = networks::grid_of(store);
            y = at::empty({c.m, c.n}, at::kFloat);
            out = at::empty({c.m, c.n}, type);
            for (int64_t i = 0; i < a_round; i++) {
                const at::Tensor w = at::randn({c.n, c.k}).to(held);
                weights.emplace_back(w, at::zeros({c.n}), Linear::Layout::PACKED, store, arena);
                rows.push_back(w.to(type));
            }
            return;
        }
        y = at::empty({c.m, c.k}, type);
        if (c.key_bias) bias = at::zeros({c.n});
        const int64_t head = c.k / c.heads, width = groups() * head;
        keys = at::zeros({int64_t(kernels::key_value_bytes(c.n, groups(), head, store))}, at::kByte);
        at::Tensor k = at::randn({c.n, width}).to(type), v = at::randn({c.n, width});
        kernels::write_keys(key_values(), nullptr, 0, k.const_data_ptr(), width, v.const_data_ptr<float>(),
                            width, c.n);
    }
    int64_t groups() const { return call.groups ? call.groups : call.heads; }
    kernels::KeyValues key_values() const {
        return {const_cast<void*>(keys.const_data_ptr()), size_t(call.n), size_t(groups()),
                size_t(call.k / call.heads), store};
    }
    char* row(const at::Tensor& t, int64_t r) const {
        return static_cast<char*>(const_cast<void*>(t.const_data_ptr())) + r * t.stride(0) * t.element_size();
    }
    void run_library(int64_t i) { at::mm_out(out, x, rows[i % rows.size()].t()); }
    void run(int64_t i) {
        blocks.each(list, [&](const Block& b, const Blocks::Worker&) {
            if (call.kind == Call::GEMM) {
                const Linear& w = weights[i % weights.size()];
                return w.rows(w.whole(), row(x, b.begin), x.stride(0), b.rows(),
                              reinterpret_cast<float*>(row(y, b.begin)), y.stride(0));
            }
            kernels::Attention a{};
            a.q = row(x, b.begin);
            const kernels::KeyRange range{key_values(), size_t(call.n)};
            a.ranges = &range;
            a.range_count = 1;
            a.key_bias = bias.defined() ? bias.const_data_ptr<float>() : nullptr;
            a.out = row(y, b.begin);
            a.q_stride = a.out_stride = call.k;
            a.queries_per_key = size_t(call.heads / groups());
            for (int64_t h = 0; h < groups(); h++) kernels::attention(a, h, 0, b.rows());
        });
    }
};

} // namespace

Alone run_alone(const networks::CallCount& calls, kernels::Store store, int64_t forwards) {
    std::vector<Prepared> all;
    for (const auto& [call, count] : calls.counts())
        all.emplace_back(call, count, std::clamp<int64_t>((count + forwards - 1) / forwards, 1, 64), store);
    for (Prepared& p : all) { // working memory is there, and libraries have built their kernels
        p.run(0);
        if (p.call.kind == Call::GEMM) p.run_library(0);
    }
    Alone seconds;
    for (int64_t round = 0; round < forwards; round++)
        for (Prepared& p : all) {
            const auto time = [&](double& spent, void (Prepared::*run)(int64_t)) {
                const auto start = std::chrono::steady_clock::now();
                for (int64_t i = round * p.count / forwards; i < (round + 1) * p.count / forwards; i++) (p.*run)(i);
                spent += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
            };
            time(p.call.kind == Call::GEMM ? seconds.gemm : seconds.attention, &Prepared::run);
            if (p.call.kind == Call::GEMM) time(seconds.library, &Prepared::run_library);
        }
    return seconds;
}

ProductRate product_rate(kernels::Store store) {
    constexpr int64_t side = 2048;
    constexpr double patience = 0.7; // seconds for each
    const double gflop = 2e-9 * side * side * side;
    const auto best = [&](const std::function<void()>& body) {
        body(); // libraries build their kernels
        double seconds = 1e9;
        for (double spent = 0; spent < patience;) {
            const auto start = std::chrono::steady_clock::now();
            body();
            const double took =
                std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
            seconds = std::min(seconds, took);
            spent += took;
        }
        return gflop / seconds;
    };
    const at::Tensor a = at::randn({side, side}).to(networks::type_of(store)),
                     b = at::randn({side, side}).to(a.scalar_type());
    at::Tensor c = at::empty_like(a);
    Prepared own({Call::GEMM, side, side, side, 0}, 1, 1, store);
    return {best([&] { at::mm_out(c, a, b.t()); }), best([&] { own.run(0); })};
}

} // namespace mc::bench
