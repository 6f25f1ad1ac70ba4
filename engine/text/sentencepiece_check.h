// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// What SentencePiece takes on trust: it walks the character map of a model without looking where its offsets
// lead, so a damaged file would crash the program at the first prompt.
#include <string>
#include <string_view>

namespace mc::text {

// What is wrong with the serialized model, as a clause; empty when its character map is safe to walk.
std::string sentencepiece_fault(std::string_view model);

} // namespace mc::text
