// SPDX-License-Identifier: LGPL-2.1-or-later
#include "engine/networks/wan_vae/fast_ops.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/scaled_dot_product_attention.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>
#include <algorithm>
#include <c10/core/InferenceMode.h>

#include "engine/processor.h"
#include "kernels/conv.h"
#include "kernels/kernels.h"

namespace mc::wan_vae {

namespace {

// What lies inside the border of a frame.
struct Inside {
    int64_t height, width, channels;
    int64_t row; // floats from one row to the next
    explicit Inside(const Frame& x)
        : height(x.size(0) - 2), width(x.size(1) - 2), channels(x.size(2)), row(x.size(1) * x.size(2)) {}
    int64_t offset(int64_t y, int64_t x) const { return (y + 1) * row + (x + 1) * channels; }
};

// What a kernel sees of the picture before it.
struct Reach {
    int64_t frames; // this one and those before it
    int64_t pixels; // in height and in width
    int64_t stride; // pixels from one output to the next
    int64_t phases; // outputs of a pixel in a row and in a column, each with weights of its own
    int64_t first;  // where its first pixel lies, seen from the first output of a pixel
};
Reach reach_of(Kernel kernel) {
    switch (kernel) {
    case Kernel::CAUSAL:
        return {3, 3, 1, 1, -1};
    case Kernel::TIME:
        return {3, 1, 1, 1, 0};
    case Kernel::POINT:
        return {1, 1, 1, 1, 0};
    case Kernel::DOUBLE:
        return {1, 2, 1, 2, -1};
    case Kernel::HALVE:
        return {1, 3, 2, 1, 0};
    }
    return {};
}

// Convolutions that share rows and columns, of which each thread takes some rows. With `gamma`, the rows of
// the only one are normalised while they are still in the cache.
void run_rows(const std::vector<kernels::Conv>& jobs, const float* gamma) {
    const auto rows = static_cast<int64_t>(jobs[0].rows), columns = static_cast<int64_t>(jobs[0].columns);
    // So many that the weights are not fetched for every row, and few enough that every thread has some.
    const int64_t per_thread = (rows + thread_count() - 1) / thread_count();
    const int64_t group = std::min(std::max<int64_t>(512 / columns, 1), per_thread);
    parallel_for(0, (rows + group - 1) / group, 1, [&](int64_t begin, int64_t end) {
        for (int64_t g = begin; g < end; g++)
            for (kernels::Conv job : jobs) {
                const int64_t first = g * group;
                std::array<const float*, 9> taps;
                for (size_t t = 0; t < job.n_taps; t++) taps[t] = job.taps[t] + first * job.in_row;
                job.taps = taps.data();
                job.out += first * job.out_row;
                job.rows = std::min(group, rows - first);
                kernels::conv(job);
                for (size_t r = 0; gamma && r < job.rows; r++) {
                    float* row = job.out + r * job.out_row;
                    kernels::channel_norm(row, gamma, row, job.columns, job.out_channels, true);
                }
            }
    });
}

at::Tensor pack_matrix(const at::Tensor& w) { // [k..., out]
    const at::Tensor flat = w.contiguous();
    const auto out = static_cast<size_t>(w.size(-1));
    const size_t k = flat.numel() / out;
    at::Tensor packed = at::empty({static_cast<int64_t>(kernels::conv_packed_size(k, out))}, at::kFloat);
    kernels::pack_conv(flat.const_data_ptr<float>(), k, out, packed.mutable_data_ptr<float>());
    return packed;
}

} // namespace

at::Tensor pack(const Conv& c) {
    if (c.kernel != Kernel::DOUBLE) {
        // [out, in, t, h, w] -> [t, h, w, in, out]; [out, in, h, w] -> [h, w, in, out]
        return pack_matrix(c.weight.permute(c.weight.dim() == 5 ? at::IntArrayRef{2, 3, 4, 1, 0}
                                                                : at::IntArrayRef{2, 3, 1, 0}));
    }
    // Of three neighbouring pixels on the doubled picture, two are the same one of the small picture: the
    // last two for an even position, the first two for an odd one.
    const auto fold = [](const at::Tensor& w, int64_t dim, bool odd) {
        const at::Tensor a = w.narrow(dim, 0, 1), b = w.narrow(dim, 1, 1), d = w.narrow(dim, 2, 1);
        return odd ? at::cat({a + b, d}, dim) : at::cat({a, b + d}, dim);
    };
    const at::Tensor w = c.weight.permute({2, 3, 1, 0});
    std::vector<at::Tensor> phases;
    for (bool y : {false, true})
        for (bool x : {false, true}) phases.push_back(pack_matrix(fold(fold(w, 0, y), 1, x)));
    return at::cat(phases);
}

at::Tensor FastOps::take(const Sizes& sizes) {
    std::vector<at::Tensor>& blocks = pool_[sizes];
    for (const at::Tensor& b : blocks)
        if (b.use_count() == 1) return b;
    blocks.push_back(at::zeros(sizes, at::TensorOptions(at::kFloat).device(measure_ ? at::kMeta : at::kCPU)));
    pool_bytes_ += static_cast<int64_t>(blocks.back().nbytes());
    return blocks.back();
}

Frame FastOps::take_frame(int64_t height, int64_t width, int64_t channels) {
    return take({height + 2, width + 2, channels});
}

const Frame& FastOps::zero_frame(const Frame& like) {
    const Sizes sizes{like.size(0), like.size(1), like.size(2)};
    Frame& zero = zeros_[sizes];
    if (!zero.defined()) {
        zero = at::zeros_like(like);
        pool_bytes_ += static_cast<int64_t>(zero.nbytes());
    }
    return zero;
}

// No frame of this size is the first or second of a video any more, but where a layer begins later than others.
void FastOps::give_back_zeros(const Frame& like) {
    const auto found = zeros_.find({like.size(0), like.size(1), like.size(2)});
    if (found == zeros_.end()) return;
    pool_[found->first].push_back(std::move(found->second));
    zeros_.erase(found);
}

at::Tensor FastOps::view(const Frame& x) const {
    const Inside i(x);
    return x.narrow(0, 1, i.height).narrow(1, 1, i.width).permute({2, 0, 1});
}

Frame FastOps::load(const at::Tensor& picture) {
    Frame x = take_frame(picture.size(1), picture.size(2), picture.size(0));
    if (!measure_) view(x).copy_(picture);
    return x;
}

Frame FastOps::copy(const Frame& x) {
    Frame y = take({x.size(0), x.size(1), x.size(2)});
    if (!measure_) y.copy_(x);
    return y;
}

Frame FastOps::norm_silu(const at::Tensor& gamma, const Frame& x) {
    Frame y = take({x.size(0), x.size(1), x.size(2)});
    if (measure_) return y;
    const Inside i(x);
    const float *from = x.const_data_ptr<float>(), *g = gamma.const_data_ptr<float>();
    float* to = y.mutable_data_ptr<float>();
    parallel_for(0, i.height, std::max<int64_t>(1, 4096 / i.width), [&](int64_t begin, int64_t end) {
        for (int64_t r = begin; r < end; r++)
            kernels::channel_norm(from + i.offset(r, 0), g, to + i.offset(r, 0), i.width, i.channels, true);
    });
    return y;
}

Frame FastOps::conv(const Conv& c, const FrameTaps& x, const at::Tensor& gamma) {
    const Inside i(x.now);
    int64_t h = i.height, w = i.width;
    if (c.kernel == Kernel::DOUBLE) h *= 2, w *= 2;
    if (c.kernel == Kernel::HALVE) h /= 2, w /= 2;
    Frame out = take_frame(h, w, c.out);
    run(c, x, out, false, gamma);
    return out;
}

void FastOps::add_conv(const Conv& c, const FrameTaps& x, Frame& onto) {
    run(c, x, onto, true, {});
}

void FastOps::run(const Conv& c, const FrameTaps& x, const Frame& out, bool add, const at::Tensor& gamma) {
    cancel.check();
    const Inside from(x.now), to(out);
    const Reach reach = reach_of(c.kernel);
    const bool history = reach.frames > 1, zero = history && !x.older.defined();
    if (zero)
        zero_frame(x.now);
    else if (history)
        give_back_zeros(x.now);

    const int64_t rows = to.height / reach.phases, columns = to.width / reach.phases;
    const int64_t k = reach.frames * reach.pixels * reach.pixels * c.in;
    flop += 2 * to.height * to.width * k * c.out;
    if (measure_) return;

    std::array<const float*, 3> frames; // oldest first
    frames[reach.frames - 1] = x.now.const_data_ptr<float>();
    if (history) {
        const float* zeros = zero ? zero_frame(x.now).const_data_ptr<float>() : nullptr;
        frames[0] = x.older.defined() ? x.older.const_data_ptr<float>() : zeros;
        frames[1] = x.last.defined() ? x.last.const_data_ptr<float>() : zeros;
    }
    const auto size = [](int64_t n) { return static_cast<size_t>(n); };
    std::vector<kernels::Conv> jobs;
    std::array<std::array<const float*, 9>, 4> taps;
    const auto packed = static_cast<int64_t>(kernels::conv_packed_size(k, c.out));
    for (int64_t y = 0; y < reach.phases; y++)
        for (int64_t p = 0; p < reach.phases; p++) {
            const size_t job = jobs.size();
            // The filter of an odd row or column of a doubled picture begins one pixel later.
            const int64_t top = reach.first + y, left = reach.first + p;
            for (int64_t t = 0; t < reach.frames; t++)
                for (int64_t r = 0; r < reach.pixels; r++)
                    taps[job][t * reach.pixels + r] = frames[t] + from.offset(top + r, left);
            jobs.push_back({.taps = taps[job].data(),
                            .n_taps = size(reach.frames * reach.pixels),
                            .run = size(reach.pixels * c.in),
                            .in_step = size(reach.stride * from.channels),
                            .in_row = size(reach.stride * from.row),
                            .weights = c.weight.const_data_ptr<float>() + static_cast<int64_t>(job) * packed,
                            .bias = c.bias.const_data_ptr<float>(),
                            .out = out.mutable_data_ptr<float>() + to.offset(y, p),
                            .out_step = size(reach.phases * to.channels),
                            .out_row = size(reach.phases * to.row),
                            .rows = size(rows),
                            .columns = size(columns),
                            .out_channels = size(c.out),
                            .add = add});
        }
    run_rows(jobs, gamma.defined() ? gamma.const_data_ptr<float>() : nullptr);
}

void FastOps::add_attention(const AttentionWeights& a, Frame& onto) {
    cancel.check();
    const Inside i(onto);
    const int64_t tokens = i.height * i.width, channels = i.channels;
    const Frame normed = take({1, tokens, channels}), qkv = take({1, tokens, 3 * channels});
    flop += 2 * tokens * channels * 4 * channels + 4 * tokens * tokens * channels;
    // The result, and what the library's threads work in: a tile of scores and one of the result each.
    const int64_t tile = std::min<int64_t>(tokens, tokens >= 768 ? 256 : tokens >= 192 ? 64 : 32);
    const int64_t workspace = thread_count() * tile * (std::min<int64_t>(tokens, 512) + 2 + channels);
    const int64_t scratch = sizeof(float) * (tokens * (channels + 1) + workspace);
    scratch_bytes_ = std::max(scratch_bytes_, scratch);
    if (measure_) return;

    // One row of tokens at a time: kernels::Conv with a single tap.
    const auto point = [&](const Conv& c, const float* in, int64_t in_row, float* out, int64_t out_row,
                           bool add) {
        const auto size = [](int64_t n) { return static_cast<size_t>(n); };
        run_rows({{&in, 1, size(c.in), size(c.in), size(in_row), c.weight.const_data_ptr<float>(),
                   c.bias.const_data_ptr<float>(), out, size(c.out), size(out_row), size(i.height),
                   size(i.width), size(c.out), add}},
                 nullptr);
    };
    float* picture = onto.mutable_data_ptr<float>() + i.offset(0, 0);
    float* rows = normed.mutable_data_ptr<float>();
    for (int64_t r = 0; r < i.height; r++)
        kernels::channel_norm(picture + r * i.row, a.norm.const_data_ptr<float>(),
                              rows + r * i.width * channels, i.width, channels, false);
    point(a.qkv, rows, i.width * channels, qkv.mutable_data_ptr<float>(), i.width * 3 * channels, false);
    const std::vector<at::Tensor> parts = qkv.unsqueeze(0).chunk(3, 3);
    // Queries in blocks, for any thread to take: many enough for the library to work on large tiles.
    const int64_t block = tokens < 3072 ? 64 : 768;
    const at::Tensor mixed = at::empty({1, 1, tokens, channels}, at::kFloat);
    parallel_for(0, (tokens + block - 1) / block, 1, [&](int64_t begin, int64_t end) {
        c10::InferenceMode guard; // which threads do not inherit
        for (int64_t b = begin; b < end; b++) {
            const int64_t first = b * block, n = std::min(block, tokens - first);
            const at::Tensor queries = parts[0].narrow(2, first, n);
            mixed.narrow(2, first, n).copy_(at::scaled_dot_product_attention(queries, parts[1], parts[2]));
        }
    });
    point(a.proj, mixed.const_data_ptr<float>(), i.width * channels, picture, i.row, true);
}

} // namespace mc::wan_vae
