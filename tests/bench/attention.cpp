// SPDX-License-Identifier: LGPL-2.1-or-later
// GFLOP/s of kernels::attention beside ATen's scaled_dot_product_attention on the same tensors, in turn.
// Threads as given, 1 and 2 when none.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "kernels/attention.h"
#include "kernels/gemm.h"

namespace {

constexpr double seconds_each = 0.4;

template <class Body>
double seconds(Body body) {
    using clock = std::chrono::steady_clock;
    const auto before = clock::now();
    body();
    return std::chrono::duration<double>(clock::now() - before).count();
}

void ours(const mc::kernels::Attention& a, int64_t rows, int64_t heads) {
    // As many tasks as threads can share evenly, of whole heads where there are enough.
    const int64_t threads = at::get_num_threads();
    const int64_t parts = heads % threads == 0 ? 1 : threads, step = (rows + parts - 1) / parts;
    at::parallel_for(0, heads * parts, 1, [&](int64_t begin, int64_t end) {
        for (int64_t task = begin; task < end; task++) {
            const int64_t first = task % parts * step;
            mc::kernels::attention(a, task / parts, first, std::min(rows, first + step));
        }
    });
}

void compare(int64_t rows, int64_t keys, int64_t heads, int64_t head, at::ScalarType type) {
    using namespace mc::kernels;
    const Store store = type == at::kFloat ? Store::F32 : Store::BF16;
    const int64_t width = heads * head;
    const at::Tensor q = at::randn({rows, heads, head}).to(type), k = at::randn({keys, heads, head}).to(type),
                     v = at::randn({keys, heads, head}).to(type);
    at::Tensor out = at::empty_like(q);
    // Ours keeps keys and values as it reads them, so that writing them is none of its time; ATen lays them out anew.
    at::Tensor memory = at::zeros({int64_t(key_value_bytes(keys, heads, head, store))}, at::kByte);
    const KeyValues kv{memory.data_ptr(), size_t(keys), size_t(heads), size_t(head), store};
    const at::Tensor wide = v.to(at::kFloat);
    write_keys(kv, nullptr, 0, k.const_data_ptr(), width, wide.const_data_ptr<float>(), width, keys);
    Attention a{};
    a.q = q.const_data_ptr();
    const KeyRange range{kv, size_t(keys)};
    a.ranges = &range;
    a.range_count = 1;
    a.out = out.data_ptr();
    a.q_stride = a.out_stride = size_t(width);
    const auto by_head = [](const at::Tensor& t) { return t.transpose(0, 1).unsqueeze(0); };
    at::Tensor expected;
    double best = 1e9, best_aten = 1e9;
    for (double spent = 0; spent < seconds_each;) {
        const double mine = seconds([&] { ours(a, rows, heads); });
        const double theirs =
            seconds([&] { expected = at::scaled_dot_product_attention(by_head(q), by_head(k), by_head(v)); });
        best = std::min(best, mine);
        best_aten = std::min(best_aten, theirs);
        spent += mine + theirs;
    }
    const double difference =
        (expected.squeeze(0).transpose(0, 1) - out).to(at::kFloat).abs().max().item<double>();
    const double gflop = 4e-9 * rows * keys * heads * head;
    std::printf("%8s %7d %6ld %6ld %5ld %5ld %10.1f %10.1f %7.2f %12.1e\n",
                type == at::kFloat ? "float32" : "bfloat16", at::get_num_threads(), long(rows), long(keys),
                long(heads), long(head), gflop / best_aten, gflop / best, best_aten / best, difference);
}

} // namespace

int main(int argc, char** argv) {
    c10::InferenceMode guard;
    std::printf("%8s %7s %6s %6s %5s %5s %10s %10s %7s %12s\n", "type", "threads", "rows", "keys", "heads",
                "head", "ATen", "ours", "ratio", "difference");
    for (int threads : argc > 1 ? std::vector<int>{std::atoi(argv[1])} : std::vector<int>{1, 2}) {
        at::set_num_threads(threads);
        for (at::ScalarType type : {at::kFloat, at::kBFloat16}) {
            if (type == at::kBFloat16 && !mc::kernels::bf16_dot()) continue;
            for (int64_t head : {48, 64, 128})
                for (int64_t rows : {180, 540, 900}) compare(rows, rows, head == 48 ? 4 : 2, head, type);
            compare(540, 77, 4, 48, type);
            compare(180, 900, 4, 48, type);
        }
    }
}
