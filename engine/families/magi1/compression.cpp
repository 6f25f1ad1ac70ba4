// SPDX-License-Identifier: LGPL-2.1-or-later
#include "engine/families/magi1/compression.h"

#include <ATen/ATen.h>
#include <cmath>

namespace mc::magi1 {
namespace {

at::Tensor asking(const at::Tensor& queries, int64_t frame_tokens, CompressionSettings::Queries which) {
    const int64_t all = queries.size(0);
    const int64_t count = which == CompressionSettings::Queries::CHUNK     ? all
                          : which == CompressionSettings::Queries::LAST_50 ? std::min<int64_t>(50, all)
                                                                           : std::min(frame_tokens, all);
    return queries.narrow(0, all - count, count);
}

// [groups, tokens]
at::Tensor importance(const at::Tensor& keys, const at::Tensor& queries, int pool) {
    const int64_t groups = keys.size(1), head = keys.size(2), heads = queries.size(1);
    const at::Tensor q = queries.view({queries.size(0), groups, heads / groups, head}).permute({1, 2, 0, 3});
    const at::Tensor k = keys.permute({1, 2, 0}).unsqueeze(1); // [groups, 1, head, tokens]
    const at::Tensor scores = std::get<0>((at::matmul(q, k) / std::sqrt(double(head))).max(1));
    const at::Tensor mean = scores.softmax(-1).mean(1);
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

Kept select_keys(const at::Tensor& keys, const at::Tensor& queries, int64_t budget, int64_t frame_tokens,
                 int64_t chunk_tokens, const CompressionSettings& s) {
    at::Tensor score = s.mix * importance(keys, asking(queries, frame_tokens, s.queries), s.pool) -
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
