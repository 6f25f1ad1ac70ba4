// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// What MAGI-1's transformer reads beside the latents: the caption, with special tokens in front of it, or what stands
// for no caption (docs/algorithms.md#magi-text).
#include <ATen/core/Tensor.h>
#include <cstdint>
#include <string>
#include <vector>

#include "engine/text/tokenizer.h"

namespace mc::magi1 {

// What the text encoder is given for a prompt: cleaned as in training, in at most `most` ids, the end token included.
// all: set to the number of ids before the cut. Throws MC_ERROR_SETTINGS as text::clean_caption.
std::vector<int64_t> caption_ids(const std::string& prompt, const text::Tokenizer& tokenizer, int64_t most,
                                 size_t* all = nullptr);

// Rows of text, and which of them count.
struct Caption {
    at::Tensor rows; // [n, width] float32
    at::Tensor mask; // [n] bool
    // Those that count, in order.
    at::Tensor counting() const;
};

// The table of special tokens, as published (special_tokens.npz), rounded to half precision as the reference does.
class SpecialTokens {
  public:
    // Throws MC_ERROR_NOT_FOUND, MC_ERROR_READ, also when its rows are not of `width`.
    static SpecialTokens open(const std::string& file, int64_t width);
    at::Tensor caption, logo; // [1, width]
    at::Tensor others;        // [n, width]
    // In `others`.
    enum OtherToken {
        TRANSITION = 0,
        HIGH_QUALITY = 1,
        STATIC_FIRST_FRAMES = 2,
        DYNAMIC_FIRST_FRAMES = 3,
        BORDERS = 4,
        DURATION = 7, // of one chunk; 7 further rows for longer ones
        THREE_D_MODEL = 15,
        TWO_D_ANIME = 16
    };
    static constexpr int64_t DURATIONS = 8, LAST = TWO_D_ANIME;
    at::Tensor other(int64_t row) const { return others.narrow(0, row, 1); }
};

// Which special tokens stand in front of a caption.
struct TokenChoice {
    bool high_quality = true, duration = true;
    bool static_first_frames = false, dynamic_first_frames = false, borders = false, three_d_model = false,
         two_d_anime = false;
    // In front of what stands for no caption: what a video should not look like.
    bool negative = false;
};

// Rows of the null caption that count.
constexpr int64_t NULL_ROWS = 50;

// A caption with its tokens, all but the duration, which stands in front of them and is another one in every chunk. Of
// a caption that fills `most` rows as many are cut off as tokens, the duration included, stand before it.
Caption with_tokens(const Caption& caption, const TokenChoice& choice, const SpecialTokens& tokens,
                    int64_t most);
// [1, width], or [0, width] when it is not chosen. following: chunks that come after this one.
at::Tensor duration_token(const TokenChoice& choice, const SpecialTokens& tokens, int64_t following);
// null_caption: [rows, width], the network's.
Caption null_text(const at::Tensor& null_caption, const TokenChoice& choice, const SpecialTokens& tokens);

} // namespace mc::magi1
