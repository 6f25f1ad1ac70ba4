// SPDX-License-Identifier: LGPL-2.1-or-later
#include "engine/families/skyreels_v2/solver.h"

#include <ATen/ATen.h>
#include <algorithm>
#include <map>

#include "engine/device.h"

namespace mc::skyreels_v2 {

Solver::Solver(const WindowPlan& plan, at::Tensor latents) : plan_(plan), latents_(std::move(latents)) {
    x_last_ = at::zeros_like(latents_);
    m0_ = at::zeros_like(latents_);
    m_prev_ = at::zeros_like(latents_);
}

// Frames in a run that share a state go together.
void Solver::step(const MatrixRow& row, const at::Tensor& velocity, std::span<const sampler::ChunkTurn>,
                  std::span<const cache::Plan>) {
    const int columns = int(row.timestep.size());
    for (int begin = 0, end; begin < columns; begin = end) {
        end = begin + 1;
        while (end < columns && row.state[end] == row.state[begin] && row.update[end] == row.update[begin])
            end++;
        if (!row.update[begin]) continue;
        auto of = [&](const at::Tensor& t) { return t.narrow(1, begin, end - begin); };
        const UniPcStep& s = plan_.steps[row.state[begin] - 1];
        at::Tensor x = of(latents_), x_last = of(x_last_), m0 = of(m0_), m_prev = of(m_prev_);

        at::Tensor x0 = x - s.sigma * of(velocity);
        at::Tensor corrected =
            s.correct ? s.c_last * x_last + s.c_m0 * m0 + s.c_prev * m_prev + s.c_x0 * x0 : x;
        m_prev.copy_(m0);
        m0.copy_(x0);
        x_last.copy_(corrected);
        x.copy_(s.p_x * corrected + s.p_m0 * m0 + s.p_prev * m_prev);
        // Both references keep the very first sample as a view of the latents, which the first step then
        // overwrites: their first corrector starts from the step's result. Their videos were made so, and ours
        // equal them (docs/algorithms.md#unipc).
        if (!s.correct) x_last.copy_(x);
    }
}

TokenSolver::TokenSolver(const WindowPlan& plan, at::Tensor latents, int64_t rows, int64_t columns)
    : Solver(plan, std::move(latents)), rows_(rows), columns_(columns),
      last_(size_t(latents_.size(1) * rows * columns), -1), before_(last_) {}

void TokenSolver::step(const MatrixRow& row, const at::Tensor& velocity,
                       std::span<const sampler::ChunkTurn> turns, std::span<const cache::Plan> plans) {
    const int64_t tokens = rows_ * columns_;
    std::vector<int> frames; // that take a step
    at::Tensor table = at::empty({latents_.size(1), COEFFICIENTS, rows_, columns_}, at::kFloat);
    size_t next = 0;
    for (const sampler::ChunkTurn& turn : turns) {
        if (turn.kind != sampler::ChunkTurn::Kind::STEP) continue;
        const cache::Plan& plan = plans[next++];
        const auto all = uint8_t(plan.action == cache::Action::WHOLE);
        std::vector<uint8_t> computed(size_t(tokens * plan_.chunk_frames), all);
        for (int32_t t : plan.tokens) computed[size_t(t)] = 1;
        for (int f = 0; f < plan_.chunk_frames; f++) {
            const int frame = turn.chunk * plan_.chunk_frames + f;
            if (!row.update[frame]) continue;
            find_coefficients(frame, row.state[frame] - 1, computed.data() + f * tokens,
                              table[int64_t(frames.size())].mutable_data_ptr<float>());
            frames.push_back(frame);
        }
    }
    if (frames.empty()) return;
    // All of them at once: each copy to a device is one of its own.
    const int64_t n = int64_t(frames.size()), height = latents_.size(2) / rows_, width = latents_.size(3) / columns_;
    table = upload(table.narrow(0, 0, n), latents_.device())
                .view({n, COEFFICIENTS, rows_, 1, columns_, 1})
                .expand({n, COEFFICIENTS, rows_, height, columns_, width})
                .reshape({n, COEFFICIENTS, rows_ * height, columns_ * width});
    for (int64_t i = 0; i < n; i++)
        step_frame(frames[size_t(i)], row.state[frames[size_t(i)]] - 1, velocity, table[i]);
}

void TokenSolver::find_coefficients(int frame, int state, const uint8_t* computed, float* out) {
    const int64_t tokens = rows_ * columns_;
    int16_t* last = last_.data() + frame * tokens;
    int16_t* before = before_.data() + frame * tokens;
    // Few histories are different: tokens of one history share their coefficients.
    using Coefficients = std::array<float, COEFFICIENTS>;
    std::map<std::array<int, 3>, Coefficients> known;
    for (int64_t t = 0; t < tokens; t++) {
        const int new_last = computed[t] ? state : last[t], new_before = computed[t] ? last[t] : before[t];
        auto [at, fresh] = known.try_emplace({before[t], last[t], computed[t]});
        if (fresh) {
            UniPcCorrector c{1, 0, 0, 0}; // stays where it was computed
            if (computed[t] && state > 0) c = unipc_corrector(plan_.grid, before[t], last[t], state);
            if (computed[t] && state == 1) { // from the first step's result, as in Solver::step
                const UniPcPredictor p = unipc_predictor(plan_.grid, -1, 0, 1);
                c.m0 += c.last * p.m0;
                c.last *= p.x;
            }
            const UniPcPredictor p = unipc_predictor(plan_.grid, new_before, new_last, state + 1);
            at->second = {float(c.last), float(c.m0), float(c.prev), float(c.x0),
                          float(p.x),    float(p.m0), float(p.prev), float(computed[t])};
        }
        for (int k = 0; k < COEFFICIENTS; k++) out[k * tokens + t] = at->second[size_t(k)];
        last[t] = int16_t(new_last), before[t] = int16_t(new_before);
    }
}

void TokenSolver::step_frame(int frame, int state, const at::Tensor& velocity, const at::Tensor& coefficients) {
    const auto of = [&](int which) { return coefficients[which]; }; // [h, w]
    at::Tensor x = latents_.select(1, frame), x_last = x_last_.select(1, frame), m0 = m0_.select(1, frame),
               m_prev = m_prev_.select(1, frame); // [C, h, w]

    const at::Tensor fresh = of(COMPUTED) > 0;
    const at::Tensor x0 =
        at::where(fresh, x - double(plan_.grid.sigmas[state]) * velocity.select(1, frame), m0);
    const bool first = state == 0;
    // The first step has nothing to correct.
    if (first)
        x_last.copy_(x);
    else
        x_last.copy_(of(C_LAST) * x_last + of(C_M0) * m0 + of(C_PREV) * m_prev + of(C_X0) * x0);
    m_prev.copy_(at::where(fresh, m0, m_prev));
    m0.copy_(x0);
    x.copy_(of(P_X) * x_last + of(P_M0) * m0 + of(P_PREV) * m_prev);
}

} // namespace mc::skyreels_v2
