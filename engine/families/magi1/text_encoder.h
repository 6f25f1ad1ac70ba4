// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// T5, which is needed for moments only and may be larger than all the rest: its weights are read when there is something to
// encode, and a large one is let go afterwards. On the CPU, in float32 as published.
#include <ATen/core/Tensor.h>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "engine/families/magi1/folder.h"
#include "engine/networks/t5/encoder.h"
#include "engine/text/tokenizer.h"

namespace mc::magi1 {

class TextEncoder {
  public:
    using Log = std::function<void(int level, const std::string& text)>;
    // Reads the tokenizer alone.
    TextEncoder(const model::magi1::Folder& folder, Log log);
    struct Encoded {
        std::vector<int64_t> ids;
        at::Tensor rows; // [n, width] float32
        int64_t flop;
    };
    // From one thread at a time. Throws MC_ERROR_MEMORY when the weights do not fit.
    Encoded encode(const std::string& caption, Cancel cancel);
    int64_t bytes() const; // of weights held now
    // Of the weights, in float32 as published.
    static int64_t bytes_of(const model::Tensors& tensors);
    // Most that encoding a caption takes, with the weights.
    static int64_t encode_bytes(int64_t weights, const model::TextEncoderConfig& config, int64_t rows);

  private:
    const std::string folder_;
    const model::TextEncoderConfig config_;
    const int64_t rows_;
    const Log log_;
    text::Tokenizer tokenizer_;
    bool byte_fallback_;
    mutable std::mutex mutex_; // of what follows
    std::unique_ptr<text::T5Encoder> kept_;
};

} // namespace mc::magi1
