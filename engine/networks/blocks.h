// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// How the optimised forward divides its rows: into blocks that one thread takes through a whole layer, so that what
// lies between the matrix products stays in its caches.
#include <ATen/core/Tensor.h>
#include <algorithm>
#include <atomic>
#include <cstdint>
#include <vector>

#include "engine/processor.h"
#include "kernels/kernels.h"

namespace mc::networks {

struct Range {
    size_t of; // index of the piece of work that it is cut from
    int64_t begin, end;
    int64_t rows() const { return end - begin; }
};
struct Block : Range {};

class Blocks {
  public:
    // Workspace of one thread. Row strides leave rows out of each other's cache sets.
    struct Worker {
        at::Tensor y; // [rows, width or edge] type of the store: input of the next product
        at::Tensor k; // [rows, width] type of the store: keys
        at::Tensor c; // [rows, width or edge] float32: a product
        at::Tensor h; // [rows, ffn_part] float32: hidden activations
        at::Tensor a; // [rows, ffn_part] type of the store: activations after GELU; h where that is float32
    };
    // Hidden activations are made and used in parts: a whole row of them does not fit the caches.
    static int64_t ffn_part(int64_t ffn);

    // edge: most ins of the patch embedding and outs of the head, which may be more than the width.
    Blocks(int64_t width, int64_t ffn, int64_t edge, kernels::Store store);
    // Cuts [begin, end) of number `of` evenly into blocks of at most `size` rows, into whole tiles where `size` is made
    // of those. B: a Block, or what a network makes of one to say of what its numbers are.
    template <typename B>
    void cut(size_t of, int64_t begin, int64_t end, int64_t size, std::vector<B>& blocks) const {
        const int64_t rows = even(end - begin, size);
        for (int64_t r = begin; r < end; r += rows) blocks.push_back(B{{of, r, std::min(end, r + rows)}});
    }
    // Rows of a block when `rows` are to be shared by all threads.
    int64_t size_for(int64_t rows) const;
    static int64_t bytes(int64_t width, int64_t ffn, int64_t edge, kernels::Store store); // of one worker

    // body(block, worker) for every block, the next block to the first thread that is free.
    template <typename B, typename F>
    void each(const std::vector<B>& blocks, const F& body) {
        std::atomic<size_t> next{0};
        const int64_t threads = std::min<int64_t>(workers(), static_cast<int64_t>(blocks.size()));
        parallel_for(0, threads, 1, [&](int64_t first, int64_t last) {
            for (int64_t w = first; w < last; w++)
                for (size_t i; (i = next++) < blocks.size();) body(blocks[i], workers_[w]);
        });
    }

  private:
    int64_t even(int64_t rows, int64_t size) const; // rows of a block of an even cut
    int64_t tile() const;
    int64_t workers(); // one per thread, grown with the number of threads
    static int64_t most_rows(int64_t width);
    const int64_t width_, ffn_, edge_;
    const kernels::Store store_;
    std::vector<Worker> workers_;
};

} // namespace mc::networks
