// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// The arithmetic of a run by itself: the same GEMM and attention calls, equally often, on random numbers; and what the
// machine can do.
#include "engine/networks/linear.h"

namespace mc::bench {

struct Alone {
    double gemm = 0, attention = 0; // seconds
    double library = 0;             // of the same matrix products by LibTorch's library, which packs weights each time
};
// `forwards` rounds, each with its share of the calls; each GEMM has a weight of its own, so that the
// processor's caches see about what they see in a forward of the transformer. Rows are divided among threads as
// the transformer divides them.
Alone run_alone(const networks::CallCount& calls, kernels::Store store, int64_t forwards);

// What this machine multiplies at most: GFLOP/s of a product of 2048 x 2048 matrices in a store's type by all threads,
// by LibTorch's library and by kernels::gemm.
struct ProductRate {
    double library = 0, own = 0;
};
ProductRate product_rate(kernels::Store store);

} // namespace mc::bench
