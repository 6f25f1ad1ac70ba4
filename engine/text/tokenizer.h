// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// SentencePiece unigram tokenizer of UMT5 and T5 (docs/algorithms.md#tokenizer).
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace mc::text {

class Tokenizer {
  public:
    // `file` is spiece.model. Throws MC_ERROR_NOT_FOUND, or MC_ERROR_READ when it is not a SentencePiece model.
    explicit Tokenizer(const std::string& file);
    ~Tokenizer();
    // The ids of `text` with the end token (1 in UMT5) appended; at most `rows` (1 or more), the end token
    // kept. Without byte fallback a run of unknown characters becomes one <unk> (3), as the fast tokenizers
    // of published models do. All of `text` is text: "</s>" in it is four characters, where the
    // reference's tokenizers would take it for the end token.
    // all: how many ids the text has, the end token and those left out counted.
    std::vector<int64_t> encode(const std::string& text, size_t rows = 512, bool byte_fallback = true,
                                size_t* all = nullptr) const;

  private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

} // namespace mc::text
