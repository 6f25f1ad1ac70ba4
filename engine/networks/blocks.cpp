// SPDX-License-Identifier: LGPL-2.1-or-later
#include "engine/networks/blocks.h"

#include <ATen/ATen.h>

#include "engine/networks/linear.h"
#include "kernels/gemm.h"

namespace mc::networks {

namespace {
constexpr int64_t PAD = 64; // bytes behind a row: the next one begins with a cache line
}

// Few enough that a block's activations stay in a core's second-level cache, many enough that the weights are not read
// from memory too often.
int64_t Blocks::most_rows(int64_t width) {
    return width <= 512 ? 96 : 240;
}

int64_t Blocks::ffn_part(int64_t ffn) {
    return std::min<int64_t>(ffn, 1024);
}

Blocks::Blocks(int64_t width, int64_t ffn, int64_t edge, kernels::Store store)
    : width_(width), ffn_(ffn), edge_(std::max(width, edge)), store_(store) {}

int64_t Blocks::workers() {
    const int64_t rows = most_rows(width_), part = ffn_part(ffn_);
    auto space = [&](int64_t columns, at::ScalarType type) {
        const int64_t pad = PAD / static_cast<int64_t>(at::elementSize(type));
        return at::empty({rows, columns + pad}, type).narrow(1, 0, columns);
    };
    while (static_cast<int64_t>(workers_.size()) < thread_count()) {
        Worker w;
        w.y = space(edge_, type_of(store_));
        w.k = space(width_, type_of(store_));
        w.c = space(edge_, at::kFloat);
        w.h = space(part, at::kFloat);
        w.a = store_ == kernels::Store::BF16 ? space(part, at::kBFloat16) : w.h;
        workers_.push_back(w);
    }
    return thread_count();
}

// Rows that the matrix kernel works on at once: all that tiles of matrix units hold, since with half of them those cost
// nearly as much; else half a tile.
int64_t Blocks::tile() const {
    const bool units = store_ == kernels::Store::BF16 && kernels::matrix_units() != kernels::MatrixUnits::NONE;
    return units ? 32 : 6;
}

int64_t Blocks::even(int64_t rows, int64_t size) const {
    const int64_t parts = std::max<int64_t>(1, (rows + size - 1) / size), each = (rows + parts - 1) / parts;
    return size % tile() ? each : (each + tile() - 1) / tile() * tile();
}

// As many blocks for each thread: with one more than that all others would wait for it. One block each is as good as
// even; several are whole tiles, unless one thread then has the more to do.
int64_t Blocks::size_for(int64_t rows) const {
    const int64_t most = most_rows(width_) / tile() * tile();
    const int64_t share = (rows + thread_count() - 1) / thread_count();
    const int64_t count = std::max<int64_t>(1, (share + most - 1) / most), each = (share + count - 1) / count;
    if (count == 1) return std::max<int64_t>(each, 12);
    const int64_t whole = (each + tile() - 1) / tile() * tile(), blocks = (rows + whole - 1) / whole;
    return (blocks + thread_count() - 1) / thread_count() * whole > share + tile() / 2 ? each : whole;
}

int64_t Blocks::bytes(int64_t width, int64_t ffn, int64_t edge, kernels::Store store) {
    const int64_t element = element_bytes(store), part = ffn_part(ffn);
    edge = std::max(width, edge);
    return most_rows(width) * (width * element + edge * (element + 4) + part * (element == 2 ? 6 : 4) +
                               (element == 2 ? 5 : 4) * PAD);
}

} // namespace mc::networks
