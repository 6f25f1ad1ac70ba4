// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// What cases of MAGI-1 say about the text.
#include "engine/families/magi1/captions.h"
#include "tests/golden/runner.h"

namespace mc::golden {

// The switches of special tokens as the reference reads them from its environment.
magi1::TokenChoice token_choice_of(const Json& environment);
// `rows` given ones, zeros behind them, `most` together.
at::Tensor padded(const at::Tensor& rows, int64_t most);

} // namespace mc::golden
