// SPDX-License-Identifier: LGPL-2.1-or-later
#include "engine/families/skyreels_v2/timestep_matrix.h"

#include <algorithm>
#include <string>

#include "engine/error.h"

namespace mc::skyreels_v2 {
namespace {

void check(const MatrixSettings& s, int steps) {
    const auto refuse = [](const std::string& message) { throw Error(MC_ERROR_SETTINGS, message); };
    if (s.chunk < 1)
        refuse("causal-block-size is " + std::to_string(s.chunk) + " but must be at least 1 latent frame.");
    if (s.frames < 1)
        refuse("A window of " + std::to_string(s.frames) + " latent frames cannot be sampled; ask for more.");
    if (s.base_frames < s.chunk)
        refuse("A window of " + std::to_string(s.base_frames) + " latent frames holds no chunk of " +
               std::to_string(s.chunk) + "; raise base-num-frames or lower causal-block-size.");
    if (s.ar_step < 0) refuse("ar-step is " + std::to_string(s.ar_step) + " but must be 0 or more.");
    if (s.prefix_frames < 0)
        refuse("The number of given latent frames is negative; give 0 or more.");
    const int seen = s.base_frames / s.chunk;
    if (seen < s.frames / s.chunk && int64_t(s.ar_step) * seen < steps)
        refuse("ar-step " + std::to_string(s.ar_step) + " is too small for " + std::to_string(steps) +
               " steps over " + std::to_string(seen) + " chunks at once; take at least " +
               std::to_string((steps + seen - 1) / seen) + ".");
}

} // namespace

std::vector<MatrixRow> timestep_matrix(const MatrixSettings& settings,
                                       const std::vector<int64_t>& timesteps) {
    const int steps = int(timesteps.size());
    check(settings, steps);
    const int finished = steps + 1;
    const int chunks = settings.frames / settings.chunk;
    const int seen = std::min(settings.base_frames / settings.chunk, chunks);

    std::vector<int64_t> before(chunks, 0), now(chunks);
    std::fill_n(before.begin(), std::min(settings.prefix_frames / settings.chunk, chunks), finished);

    std::vector<MatrixRow> rows;
    int end = seen;
    while (std::any_of(before.begin(), before.end(), [&](int64_t state) { return state < steps; })) {
        // Behind the chunk in front by ar_step, but not before that one has taken its last step is the next
        // one on its own; the distance is counted from the unclamped state.
        for (int i = 0; i < chunks; i++)
            now[i] = i == 0 || before[i - 1] >= steps ? before[i] + 1 : now[i - 1] - settings.ar_step;
        for (int64_t& state : now) state = std::clamp<int64_t>(state, 0, finished);
        const auto updates = [&](int i) { return now[i] != before[i] && now[i] != finished; };

        if (end < chunks && updates(end)) ++end;
        MatrixRow row;
        row.begin = std::max(end - seen, 0) * settings.chunk;
        row.end = end * settings.chunk;
        row.timestep.reserve(chunks * settings.chunk);
        row.state.reserve(chunks * settings.chunk);
        row.update.reserve(chunks * settings.chunk);
        for (int i = 0; i < chunks; i++) {
            const int64_t timestep = now[i] == 0 ? 999 : now[i] == finished ? 0 : timesteps[now[i] - 1];
            row.timestep.insert(row.timestep.end(), settings.chunk, timestep);
            row.state.insert(row.state.end(), settings.chunk, int(now[i]));
            row.update.insert(row.update.end(), settings.chunk, updates(i));
        }
        rows.push_back(std::move(row));
        before = now;
    }
    return rows;
}

} // namespace mc::skyreels_v2
