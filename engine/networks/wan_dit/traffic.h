// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// What ranks send each other for one step, counted from shapes. Message heads and lists of tokens, some hundred bytes
// and four for each listed token, are left out.
#include "engine/networks/wan_dit/transformer.h"

namespace mc::wan_dit {

struct StepBytes {
    int64_t to_worker = 0, from_worker = 0;
};
// Branches apart: latents of `frames` latent frames one way, the velocity of as many the other way, and with motion a
// number for each token.
StepBytes branch_bytes(const model::TransformerConfig& config, const Window::Shape& shape, int64_t frames, bool motion);

// Tokens divided over a team of `ranks` (token_share.h), one forward of `rows` tokens: in each layer queries, keys,
// values and what attention gives change hands, but for the share that stays, and in the end the leader gets all rows.
// The orders, with the latents, are left out. element: bytes of a number.
struct TeamBytes {
    int64_t by_leader = 0, by_all = 0; // sent
};
TeamBytes token_bytes(const model::TransformerConfig& config, int64_t rows, int ranks, int64_t element);

} // namespace mc::wan_dit
