// SPDX-License-Identifier: LGPL-2.1-or-later
#include "engine/families/magi1/compression.h"

#include <ATen/ATen.h>
#include <algorithm>
#include <cmath>

namespace mc::magi1 {
namespace {

constexpr int64_t BLOCK = 16 << 20; // scores at a time, float32

// [groups, tokens]
at::Tensor importance(const at::Tensor& keys, const at::Tensor& queries, int pool) {
    const int64_t groups = keys.size(1), head = keys.size(2), heads = queries.size(1);
    const at::Tensor q = queries.view({queries.size(0), groups, heads / groups, head}).permute({1, 2, 0, 3});
    const at::Tensor k = keys.permute({1, 2, 0}); // [groups, head, tokens]
    // Some queries at a time: a chunk's scores of all keys would take more memory than the keys.
    const int64_t count = q.size(2), at_once = std::max<int64_t>(1, BLOCK / (heads * keys.size(0)));
    at::Tensor sum = at::zeros({groups, keys.size(0)}, keys.options());
    for (int64_t first = 0; first < count; first += at_once) {
        const at::Tensor some = q.narrow(2, first, std::min(at_once, count - first)).reshape({groups, -1, head});
        const at::Tensor each = (at::bmm(some, k) / std::sqrt(double(head))).unflatten(1, {heads / groups, -1});
        const at::Tensor scores = std::get<0>(each.max(1));
        sum += scores.softmax(-1).sum(1);
    }
    const at::Tensor mean = sum / double(count);
    return at::max_pool1d(mean.unsqueeze(1), pool, 1, pool / 2).squeeze(1);
}

// [groups, tokens]: how much a key resembles all others.
at::Tensor repetition(const at::Tensor& keys) {
    const at::Tensor k = keys.permute({1, 0, 2}); // [groups, tokens, head]
    const at::Tensor direction = k / (k.norm(2, {-1}, true) + 1e-8);
    const at::Tensor sum = direction.sum(1, true);
    const at::Tensor likeness = ((direction * sum).sum(-1) - 1) / double(keys.size(0));
    return likeness.softmax(-1);
}

at::Tensor weighted(const at::Tensor& score, int64_t chunk_tokens, const CompressionSettings& s) {
    const int64_t n = score.size(1);
    if (s.weighting == CompressionSettings::Weighting::NONE) return score;
    if (s.weighting == CompressionSettings::Weighting::FIRST_CHUNK) {
        at::Tensor changed = score.clone();
        changed.narrow(1, 0, std::min(chunk_tokens, n)).fill_(-1e6);
        return changed;
    }
    const at::Tensor j = at::arange(n, score.options()), x = j / double(std::max<int64_t>(1, n - 1));
    switch (s.weighting) {
    case CompressionSettings::Weighting::EXPONENTIAL:
        return score * (0.1 + 0.9 * (1 - (-2 * x).exp()) / (1 - std::exp(-2.0)));
    case CompressionSettings::Weighting::POLYNOMIAL:
        return score * (0.1 + 0.9 * x.pow(s.power));
    case CompressionSettings::Weighting::UPPER_CONVEX:
        return score * 2 * (1 - (1 - x).pow(s.power));
    default: {
        const at::Tensor g = (-0.5 * (4 * j / double(n)).pow(2)).exp();
        const at::Tensor last = g[n - 1];
        return score * (0.1 + 0.9 * (g - last) / (1 - last));
    }
    }
}

} // namespace

int64_t asking_tokens(CompressionSettings::Queries queries, int64_t frame_tokens, int64_t chunk_tokens) {
    switch (queries) {
    case CompressionSettings::Queries::TOKENS:
        return std::min<int64_t>(50, chunk_tokens);
    case CompressionSettings::Queries::FRAME:
        return frame_tokens;
    default:
        return chunk_tokens;
    }
}

Kept select_keys(const at::Tensor& keys, const at::Tensor& queries, int64_t budget, int64_t frame_tokens,
                 int64_t chunk_tokens, const CompressionSettings& s) {
    const int64_t asking = std::min(queries.size(0), asking_tokens(s.queries, frame_tokens, chunk_tokens));
    const at::Tensor last = queries.narrow(0, queries.size(0) - asking, asking);
    at::Tensor score = s.mix * importance(keys, last, s.pool) -
                       (1 - s.mix) * repetition(keys);
    const int64_t unit = s.unit == CompressionSettings::Unit::TOKEN   ? 1
                         : s.unit == CompressionSettings::Unit::FRAME ? frame_tokens
                                                                      : chunk_tokens;
    const int64_t groups = score.size(0);
    if (unit > 1)
        score = score.view({groups, -1, unit}).mean(2);
    else
        score = weighted(score - std::get<0>(score.min(1, true)), chunk_tokens, s);
    const at::Tensor best = std::get<1>(score.topk(budget / unit, 1)); // [groups, units]
    const at::Tensor index = (best.unsqueeze(2) * unit + at::arange(unit)).reshape({groups, budget});
    return {score, index.t().contiguous()};
}

} // namespace mc::magi1
