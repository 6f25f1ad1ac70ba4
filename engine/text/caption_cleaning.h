// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// Cleaning of captions, as MAGI-1 does before the tokenizer (docs/algorithms.md#caption-cleaning).
#include <string>

namespace mc::text {

// The captions of the training data came from web pages: what is left are small letters without addresses, markup,
// Chinese characters, brackets, long numbers, names of files, sizes and advertisement; "%C3%A9" and "+" are read as in
// an address. Applied twice, as it was in training. Nothing may be left. Throws MC_ERROR_SETTINGS for text that is not
// UTF-8 (naming the byte), that is longer than 16 KiB (the encoder reads 800 tokens), or whose references unfold too
// often.
std::string clean_caption(const std::string& caption);

// Without the limit, one of the two passes.
std::string clean_caption_once(const std::string& caption);

} // namespace mc::text
