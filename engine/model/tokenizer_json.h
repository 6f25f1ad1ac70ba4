// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// What tokenizer.json, where a folder has it beside spiece.model, adds to the model.
#include <string>

namespace mc::model {

// Whether a character without a piece becomes its bytes' pieces (true) or <unk>, as the fast tokenizer that the
// reference pipelines load does it: model.byte_fallback of tokenizer.json, false where that lacks it. Without a
// tokenizer.json: true, what SentencePiece itself does. `spiece` is the path of spiece.model.
// Throws MC_ERROR_READ when tokenizer.json cannot be read or is not JSON.
bool tokenizer_byte_fallback(const std::string& spiece);

} // namespace mc::model
