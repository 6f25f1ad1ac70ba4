// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// What the tokenizer uses of the SentencePiece library, which is a module of its own: that library and LibTorch both
// have a variable `FLAGS_minloglevel`, of different types. Loaded side by side the first one serves both, and
// SentencePiece's constructor writes over what stands behind LibTorch's (it then aborts where it should throw).
#include <memory>
#include <string>
#include <vector>

namespace mc::text {

class SentencePiece {
  public:
    virtual ~SentencePiece() = default;
    // Both: what is wrong, in the library's words, or empty.
    virtual std::string load(const std::string& model) = 0; // the bytes of spiece.model
    virtual std::string encode(const std::string& text, std::vector<int>& pieces) const = 0;
    virtual int eos_id() const = 0; // -1: none
    virtual int unk_id() const = 0;
    virtual bool is_byte(int piece) const = 0;
};

// Loads the module, once for the process. Throws MC_ERROR_NOT_FOUND when it or the library is not there.
std::unique_ptr<SentencePiece> make_sentencepiece();

} // namespace mc::text

// The module's one function.
extern "C" mc::text::SentencePiece* mc_sentencepiece_new();
