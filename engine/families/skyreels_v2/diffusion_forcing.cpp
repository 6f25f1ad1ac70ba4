// SPDX-License-Identifier: LGPL-2.1-or-later
#include "engine/families/skyreels_v2/diffusion_forcing.h"

#include <ATen/ATen.h>
#include <algorithm>
#include <c10/core/InferenceMode.h>
#include <chrono>

namespace mc::sampler {

using clock = std::chrono::steady_clock;
static bool is_reused(const cache::Plan& plan) {
    return plan.action == cache::Action::REUSE;
}
static double since(clock::time_point start) {
    return std::chrono::duration<double>(clock::now() - start).count();
}

WindowSampler::WindowSampler(transformer::Window& window, Guidance guidance, const WindowPlan& plan,
                             cache::Policy& policy, const cache::Settings& cache, at::Tensor latents,
                             std::function<at::Tensor(int row)> prefix_noise)
    : window_(window), guidance_(guidance), plan_(plan), policy_(policy), cache_(cache),
      prefix_noise_(std::move(prefix_noise)), counts_(window.chunks()) {
    c10::InferenceMode guard;
    if (cache_.kind() != cache::Kind::NONE && cache_.reuse() == cache::Reuse::SOLVER) {
        const auto [rows, columns] = window.frame_grid();
        solver_ = std::make_unique<TokenSolver>(plan_, std::move(latents), rows, columns);
    } else {
        solver_ = std::make_unique<Solver>(plan_, std::move(latents));
    }

    std::vector<int64_t> all;
    for (size_t row = 0; row < plan_.rows.size(); row++)
        for (int64_t t : plan_.timesteps(row)) all.push_back(t);
    std::sort(all.begin(), all.end());
    all.erase(std::unique(all.begin(), all.end()), all.end());
    window_.prepare(all);
    // Nothing that a decision needs of the schedule is left for later.
    if (cache_.kind() != cache::Kind::NONE) {
        for (row_ = 0; row_ < plan_.rows.size(); row_++) distances_of(plan_.turns[row_]);
        row_ = 0;
    }
    if (plan_.rows.empty()) return; // all of it is given
    policy_.begin_window({window.chunks(), plan_.chunk_frames, int(window.frame_tokens()), plan_.branches(),
                          int(plan_.whole() ? plan_.rows.size() : plan_.steps.size()), int(plan_.rows.size()),
                          plan_.prefix_frames, plan_.video_chunks});
}

cache::FrameDistance WindowSampler::distance(int64_t now, int64_t before) {
    auto [at, fresh] = known_.try_emplace({now, before});
    if (fresh) {
        const auto d = window_.distance(cache_.embedding() == cache::Embedding::E0, now, before);
        at->second = {d.difference, d.magnitude};
    }
    return at->second;
}

std::vector<cache::FrameDistance> WindowSampler::schedule_distances() {
    // Steps of the first frame that takes any.
    std::vector<cache::FrameDistance> list;
    const auto& rows = plan_.rows;
    size_t frame = plan_.prefix_frames;
    for (size_t row = 1; row < rows.size() && frame < rows[0].update.size(); row++)
        if (rows[row].update[frame] && rows[row - 1].update[frame])
            list.push_back(distance(rows[row].timestep[frame], rows[row - 1].timestep[frame]));
    return list;
}

// How far the embeddings moved since each stepping chunk's evaluation before: a chunk's evaluations follow each other
// row by row.
WindowSampler::Distances WindowSampler::distances_of(const std::vector<ChunkTurn>& turns) {
    Distances list;
    const std::vector<int64_t> now = plan_.timesteps(row_),
                               before = row_ ? plan_.timesteps(row_ - 1) : std::vector<int64_t>();
    for (const ChunkTurn& turn : turns) {
        if (turn.kind != ChunkTurn::Kind::STEP) continue;
        list.emplace_back();
        for (int f = turn.chunk * plan_.chunk_frames;
             turn.step > 0 && f < (turn.chunk + 1) * plan_.chunk_frames; f++)
            list.back().push_back(distance(now[f], before[f]));
    }
    return list;
}

std::vector<cache::Plan> WindowSampler::decide(int branch, std::span<const cache::ChunkStep> steps) {
    if (branch > 0 && solver_->skips_reused()) return plans_;
    std::vector<cache::Plan> plans = cache_.kind() == cache::Kind::NONE
                                         ? std::vector<cache::Plan>(steps.size())
                                         : policy_.decide(int(row_), branch, steps);
    if (branch == 0) plans_ = plans;
    return plans;
}

void WindowSampler::count(int chunk, const cache::Plan& plan) {
    ChunkCount& count = counts_[chunk];
    const int64_t all = plan_.chunk_frames * window_.frame_tokens();
    const int64_t computed = plan.action == cache::Action::ALL      ? all
                             : plan.action == cache::Action::TOKENS ? int64_t(plan.tokens.size())
                                                                    : 0;
    count.turns++;
    (computed == all ? count.whole : computed ? count.sparse : count.reused)++;
    count.tokens_computed += computed;
    count.tokens_reused += all - computed;
}

WindowSampler::RowWork WindowSampler::plan_work(int first, int last, bool observed) {
    const std::vector<ChunkTurn>& turns = plan_.turns[row_];
    const bool remembers = cache_.kind() != cache::Kind::NONE, skips = solver_->skips_reused();
    const Distances distances = remembers ? distances_of(turns) : Distances(turns.size());
    std::vector<cache::ChunkStep> steps;
    for (const ChunkTurn& turn : turns)
        if (turn.kind == ChunkTurn::Kind::STEP)
            steps.push_back({turn.chunk, turn.step, distances[steps.size()], turn.sigma, turn.next_sigma});
    RowWork row;
    for (int b = first; b < last; b++) {
        row.plans.push_back(decide(b, steps));
        const std::vector<cache::Plan>& plans = row.plans.back();
        const bool idle = skips && std::all_of(plans.begin(), plans.end(), is_reused);
        size_t step = 0;
        for (const ChunkTurn& turn : turns) {
            transformer::ChunkWork w;
            w.branch = b;
            w.chunk = turn.chunk;
            if (turn.kind == ChunkTurn::Kind::STEP) {
                w.plan = &plans[step++];
                count(turn.chunk, *w.plan);
                if (skips && is_reused(*w.plan)) continue; // its velocity is not needed
                w.remember = remembers;
                w.motion = policy_.wants_motion(b, turn.chunk) && !(skips && b > 0);
                w.level = turn.sigma;
            } else {
                if (turn.kind == ChunkTurn::Kind::PREFIX && idle && row_ > 0) continue; // no chunk attends to it
                counts_[turn.chunk].extra++;
                w.output = observed;
                w.motion = turn.kind == ChunkTurn::Kind::PREFIX && policy_.wants_prefix_motion() &&
                           !plan_.reference_prefix;
            }
            row.work.push_back(w);
            row.turns.push_back(&turn);
        }
    }
    return row;
}

void WindowSampler::execute(const at::Tensor& input, const std::vector<int64_t>& timesteps,
                            const RowWork& row, Cancel cancel) {
    const transformer::TextContext* const text[] = {guidance_.text, guidance_.negative};
    if (!row.work.empty()) window_.forward(input, timesteps, text, row.work, cancel);
}

// Passes the motion to the policy and every turn to the observer.
void WindowSampler::report(const RowWork& row, const std::function<void(const Turn&)>& observe) {
    for (size_t i = 0; i < row.work.size(); i++) {
        const transformer::ChunkWork& w = row.work[i];
        const ChunkTurn& turn = *row.turns[i];
        const bool moved = w.motion && turn.kind == ChunkTurn::Kind::STEP;
        if (moved) {
            const auto& change = window_.change(i);
            policy_.motion(w.branch, w.chunk, change.tokens, change.has_previous);
        }
        if (observe)
            observe({int(row_), w.branch, turn,
                     window_.velocity(w.branch).narrow(1, w.chunk * plan_.chunk_frames, plan_.chunk_frames),
                     moved ? policy_.weights(w.branch, w.chunk) : std::span<const float>()});
    }
}

void WindowSampler::run_branches(const at::Tensor& input, const std::vector<int64_t>& timesteps, int first,
                                 int last, Cancel cancel, Timing& timing,
                                 const std::function<void(const Turn&)>& observe) {
    const auto begin = clock::now();
    const RowWork row = plan_work(first, last, bool(observe));
    const auto planned = clock::now();
    execute(input, timesteps, row, cancel);
    const auto executed = clock::now();
    report(row, observe);
    const std::chrono::duration<double> cache = (planned - begin) + (clock::now() - executed),
                                        forward = executed - planned;
    timing.cache += cache.count();
    timing.transformer += forward.count();
}

void WindowSampler::step(Cancel cancel, const Trace& trace, Timing& timing,
                         const std::function<void()>& forwarded,
                         const std::function<void(const Turn&)>& observe) {
    c10::InferenceMode guard;
    const schedule::Row& row = plan_.rows[row_];

    at::Tensor input = latents(); // [C, frames (+ 1), h, w]
    const std::vector<int64_t> timesteps = plan_.timesteps(row_);
    const bool sees_prefix = plan_.whole() || plan_.turns[row_].front().kind == ChunkTurn::Kind::PREFIX;
    if (plan_.addnoise_condition > 0 && plan_.prefix_frames > 0 && sees_prefix) {
        // The latents stay clean; both branches see the same noise.
        double n = 0.001 * plan_.addnoise_condition;
        input = input.clone();
        at::Tensor prefix = input.narrow(1, 0, plan_.prefix_frames);
        prefix.mul_(1 - n).add_(prefix_noise_(int(row_)), n);
    }

    if (trace) trace("steps.timesteps", at::tensor(timesteps));
    // A whole window takes its branches one after the other: its workspace is the biggest thing in memory. Chunks take
    // them together, so that their few rows fill the matrix products.
    const int branches = plan_.branches();
    if (plan_.whole())
        for (int b = 0; b < branches; b++) {
            run_branches(input, timesteps, b, b + 1, cancel, timing, observe);
            forwarded();
        }
    else {
        run_branches(input, timesteps, 0, branches, cancel, timing, observe);
        for (int b = 0; b < branches; b++) forwarded();
    }
    auto start = clock::now();
    at::Tensor velocity = window_.velocity(0);
    if (trace) trace("steps.v_cond", velocity);
    if (branches == 2) {
        const at::Tensor& negative = window_.velocity(1);
        if (trace) trace("steps.v_uncond", negative);
        velocity = negative + plan_.guidance_scale * (velocity - negative);
    }
    solver_->step(row, velocity, plan_.turns[row_], plans_);
    if (trace) trace("steps.latents", latents());
    row_++;
    timing.schedule += since(start);
}

int WindowSampler::finished() const {
    if (done()) return plan_.frames;
    // A frame is finished when no later row steps it.
    int count = plan_.prefix_frames;
    auto pending = [&](int frame) {
        for (size_t r = row_; r < plan_.rows.size(); r++)
            if (plan_.rows[r].update[frame]) return true;
        return false;
    };
    while (count < plan_.frames && !pending(count)) count++;
    return count;
}

} // namespace mc::sampler
