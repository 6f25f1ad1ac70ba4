// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// How the work of a window is spread over ranks. The ranks are one team, or two where each guidance branch has its own;
// a team of several divides the tokens of its branches (token_share.h). See docs/ranks.md.
#include "engine/networks/wan_dit/transformer.h"

namespace mc::wan_dit {

// All ranks, as rank 0's model knows them before there is a window.
struct Ranks {
    int count = 1;
    bool tokens_only = false; // one team, also where each branch could have one: for tests
};

struct Spread {
    int ranks = 1;
    bool apart = false; // the branches: the second one is the second team's
    bool linked = false; // a team exchanges rows from device to device (Transformer::link)
    kernels::Store store = kernels::Store::F32; // rank 0's activations, as a team exchanges them
    int team() const { return apart ? ranks / 2 : ranks; }              // ranks of a team
    int leader_of(int rank) const { return rank - rank % team(); }      // who has the output of the layers
    bool leads(int rank) const { return leader_of(rank) == rank; }
    int second() const { return team(); }                               // leader of the second team
    Window::Shape part(Window::Shape whole, int rank) const; // as this rank has it
};
// Throws MC_ERROR_SETTINGS when the model's heads cannot be divided so, with the numbers of processes that would do.
Spread spread_over(Ranks ranks, int branches, int64_t heads);
// The same for a model of which no request is known yet: throws where every request would be refused.
void check_ranks(Ranks ranks, int64_t heads);

} // namespace mc::wan_dit
