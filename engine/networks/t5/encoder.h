// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// Encoder of the T5 series, UMT5 and T5 v1.1 (docs/algorithms.md#umt5): token ids to text embeddings.
#include <ATen/core/Tensor.h>
#include <cstdint>
#include <memory>
#include <vector>

#include "engine/cancel.h"
#include "engine/networks/t5/config.h"
#include "engine/networks/weights.h"
#include "engine/trace.h"

namespace mc::t5 {

// Bucket of a relative position, key index - query index: the first half of the buckets for keys at or before
// the query, the second half for those behind it; in each, one per distance up to a quarter of all buckets,
// then logarithmically wider ones up to max_distance, and the last one for everything farther.
int64_t relative_position_bucket(int64_t relative, int64_t buckets, int64_t max_distance);

// Weights are held in the type of `precision`, nothing else of their size is: with bfloat16 on a CPU that has
// no bfloat16 arithmetic one matrix at a time is widened into a buffer. Activations live in float32 and are
// rounded to bfloat16 where the reference implementation stores them so.
class Encoder {
  public:
    // Checks every tensor; throws MC_ERROR_READ for one that is missing or of the wrong shape.
    Encoder(const Weights& weights, const model::TextEncoderConfig& config, Precision precision);
    ~Encoder();
    // ids: the true tokens only, without padding: rows of padding would get probability 0 in every attention
    // and end as zeros. Returns [tokens, width], float32 on the CPU. Cancelling is noticed between layers.
    // Trace names: "layer0_out" ... one per layer, "embeds".
    // Throws MC_ERROR_READ for an id that the embedding does not have.
    at::Tensor encode(const std::vector<int64_t>& ids, Cancel cancel = {}, const Trace& trace = {}) const;
    at::Device device() const;
    // Its weights, between two encodes. Another device than its own must be ready to use.
    void move_to(at::Device device);
    int64_t bytes() const; // of the weights held
    // Peak bytes that one encode holds besides the weights, result included.
    int64_t encode_bytes(int64_t tokens) const;
    static int64_t encode_bytes(const model::TextEncoderConfig& config, Precision precision, at::Device device,
                                int64_t tokens);
    int64_t flop(int64_t tokens) const; // of the matrix products of one encode

  private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

} // namespace mc::t5
