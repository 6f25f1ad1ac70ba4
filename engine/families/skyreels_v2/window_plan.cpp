// SPDX-License-Identifier: LGPL-2.1-or-later
#include "engine/families/skyreels_v2/window_plan.h"

#include <algorithm>

namespace mc::skyreels_v2 {

// The whole window is one chunk that takes a step in every row.
static std::vector<sampler::ChunkTurn> whole_window(int row) {
    return {{sampler::ChunkTurn::Kind::STEP, 0, row, 0}};
}

// Chunks that have not started do not exist, finished ones are left alone.
static std::vector<sampler::ChunkTurn> key_value_turns(const WindowPlan& plan, size_t row) {
    const MatrixRow& now = plan.rows[row];
    std::vector<sampler::ChunkTurn> turns;
    const int chunks = plan.frames / plan.chunk_frames;
    for (int c = 0; c < chunks; c++) {
        const int frame = c * plan.chunk_frames;
        const bool prefix = frame < plan.prefix_frames;
        if (now.update[frame]) {
            const int step = now.state[frame] - 1;
            turns.push_back({sampler::ChunkTurn::Kind::STEP, c, step, plan.steps[step].sigma,
                             size_t(step) + 1 < plan.steps.size() ? plan.steps[step + 1].sigma : 0});
        } else if (prefix && (row == 0 || (plan.reference_prefix && c > 0))) {
            turns.push_back({sampler::ChunkTurn::Kind::PREFIX, c, 0, 0});
        } else if (!prefix && plan.finished == FinishedChunks::REFRESHED && row > 0 &&
                   plan.rows[row - 1].update[frame] && c + 1 < chunks) {
            turns.push_back({sampler::ChunkTurn::Kind::REFRESH, c, 0, 0});
        }
    }
    return turns;
}

WindowPlan plan_window(const WindowSettings& s, const TimeGrid& grid) {
    WindowPlan plan;
    plan.frames = s.frames;
    plan.prefix_frames = s.prefix_frames;
    plan.end_frame = s.end_frame;
    plan.guidance_scale = s.guidance_scale;
    plan.addnoise_condition = s.addnoise_condition;
    plan.reference_prefix = s.reference_prefix;
    plan.finished = s.finished;
    plan.video_chunks = s.video_chunks;
    plan.chunk_frames = s.attention == Attention::KV ? s.chunk : plan.columns();
    plan.grid = grid;
    plan.steps = unipc_steps(grid);
    plan.rows = timestep_matrix({plan.columns(), plan.columns(), s.ar_step, s.prefix_frames, s.chunk},
                                grid.timesteps);
    for (MatrixRow& row : plan.rows) {
        if (!s.end_frame) break;
        row.timestep.back() = 0; // the given last frame is clean and stays
        row.update.back() = false;
    }
    // Rows that only the end frame would have needed.
    std::erase_if(plan.rows, [](const MatrixRow& row) {
        return std::none_of(row.update.begin(), row.update.end(), [](bool u) { return u; });
    });
    for (size_t row = 0; row < plan.rows.size(); row++)
        plan.turns.push_back(s.attention == Attention::KV ? key_value_turns(plan, row)
                                                          : whole_window(int(row)));
    return plan;
}

WindowPlan held_back(const WindowPlan& plan, size_t row) {
    const int steps = int(plan.steps.size());
    int wait = 0; // rows
    for (const sampler::ChunkTurn& turn : plan.turns[row])
        if (turn.kind == sampler::ChunkTurn::Kind::STEP && turn.step > 0)
            wait = std::max(wait, steps - turn.step);
    WindowPlan held = plan;
    if (!wait) return held;
    const MatrixRow& before = plan.rows[row - 1];
    const auto begun = std::find(before.state.begin(), before.state.end(), 0) - before.state.begin(); // columns
    const auto take = [&](MatrixRow& to, const MatrixRow& from) {
        std::copy_n(from.timestep.begin(), begun, to.timestep.begin());
        std::copy_n(from.state.begin(), begun, to.state.begin());
        std::copy_n(from.update.begin(), begun, to.update.begin());
    };
    held.rows.insert(held.rows.begin() + ptrdiff_t(row), size_t(wait), before);
    for (int i = 0; i < wait; i++) take(held.rows[row + size_t(i)], plan.rows[row + size_t(i)]);
    MatrixRow done = before; // of those columns
    std::fill_n(done.timestep.begin(), begun, 0);
    std::fill_n(done.state.begin(), begun, steps + 1);
    std::fill_n(done.update.begin(), begun, false);
    for (size_t i = row + size_t(wait); i < held.rows.size(); i++) take(held.rows[i], done);
    held.turns.resize(row);
    for (size_t i = row; i < held.rows.size(); i++) held.turns.push_back(key_value_turns(held, i));
    return held;
}

int64_t plan_bytes(const WindowSettings& s, int steps) {
    const int64_t columns = s.frames + (s.end_frame ? 1 : 0), chunks = columns / s.chunk;
    const int64_t rows =
        steps + chunks * std::min(s.ar_step, steps); // a chunk waits for no more than all steps
    // Vectors of vectors have grown to up to twice their size.
    const int64_t row = 2 * sizeof(MatrixRow) + columns * (sizeof(int64_t) + sizeof(int)) + columns / 8 + 8;
    // With KV those at work at once, the prefix, and one that is refreshed.
    const int64_t at_work = s.ar_step ? steps / s.ar_step + 1 : chunks;
    const int64_t at_once = std::min(chunks, at_work + s.prefix_frames / s.chunk + 2);
    const int64_t turns =
        2 * sizeof(std::vector<sampler::ChunkTurn>) +
        (s.attention == Attention::KV ? 2 * at_once : 1) * int64_t(sizeof(sampler::ChunkTurn));
    return rows * (row + turns);
}

int WindowPlan::chunks_at_once() const {
    size_t most = 1;
    for (const auto& row : turns) most = std::max(most, row.size());
    return int(most);
}

std::vector<int64_t> WindowPlan::timesteps(size_t row) const {
    std::vector<int64_t> t = rows[row].timestep;
    if (addnoise_condition > 0) std::fill_n(t.begin(), prefix_frames, addnoise_condition);
    return t;
}

} // namespace mc::skyreels_v2
