// SPDX-License-Identifier: LGPL-2.1-or-later
#include "engine/networks/wan_dit/spread.h"

#include <string>

#include "engine/error.h"

namespace mc::wan_dit {

Window::Shape Spread::part(Window::Shape s, int rank) const {
    if (apart) s.branches = 1;
    if (!leads(rank)) s.remembers = false;
    return s;
}

static Spread arranged(Ranks ranks, int branches) {
    return {ranks.count, branches == 2 && ranks.count % 2 == 0 && !ranks.tokens_only};
}

Spread spread_over(Ranks ranks, int branches, int64_t heads) {
    const Spread spread = arranged(ranks, branches);
    if (heads % spread.team() == 0) return spread;
    std::string would;
    for (int n = 2; n <= 2 * heads; n++)
        if (heads % arranged({n, ranks.tokens_only}, branches).team() == 0)
            would += (would.empty() ? "" : ", ") + std::to_string(n);
    throw Error(MC_ERROR_SETTINGS,
                "WORLD_SIZE=" + std::to_string(ranks.count) + " does not fit: each process takes as many of the " +
                    "model's " + std::to_string(heads) + " attention heads" +
                    (spread.apart ? ", half of the processes for each branch of guidance" : "") +
                    (branches == 2 || ranks.tokens_only ? "" : ", and without guidance there is one branch alone") +
                    "; start " + (would.empty() ? "one" : would + " of them or one") + ".");
}

void check_ranks(Ranks ranks, int64_t heads) {
    try {
        spread_over(ranks, 1, heads);
    } catch (const Error&) {
        spread_over(ranks, 2, heads);
    }
}

} // namespace mc::wan_dit
