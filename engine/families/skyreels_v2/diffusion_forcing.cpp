// SPDX-License-Identifier: LGPL-2.1-or-later
#include "engine/families/skyreels_v2/diffusion_forcing.h"

#include <ATen/ATen.h>
#include <algorithm>
#include <c10/core/InferenceMode.h>
#include <chrono>

namespace mc::skyreels_v2 {

using sampler::clock;
using sampler::since;

static bool is_reused(const cache::Plan& plan) {
    return plan.action == cache::Action::REUSED;
}

WindowSampler::WindowSampler(wan_dit::Window& window, Guidance guidance, const WindowPlan& plan,
                             cache::Policy& policy, const cache::AnySettings& cache, at::Tensor latents,
                             std::function<at::Tensor(int row)> prefix_noise)
    : window_(window), guidance_(window.chunks(), guidance), told_(guidance_), plan_(&plan), policy_(policy),
      cache_(cache), prefix_noise_(std::move(prefix_noise)), counts_(window.chunks()),
      partial_(window.chunks()) {
    c10::InferenceMode guard;
    if (cache_.kind() != CacheKind::NONE && cache_.reuse() == CacheReuse::SOLVER) {
        const auto [rows, columns] = window.frame_grid();
        solver_ = std::make_unique<TokenSolver>(plan, std::move(latents), rows, columns);
    } else {
        solver_ = std::make_unique<Solver>(plan, std::move(latents));
    }

    std::vector<int64_t> all;
    for (size_t row = 0; row < plan_->rows.size(); row++)
        for (int64_t t : plan_->timesteps(row)) all.push_back(t);
    std::sort(all.begin(), all.end());
    all.erase(std::unique(all.begin(), all.end()), all.end());
    window_.prepare(all);
    // Nothing that a decision needs of the schedule is left for later.
    if (cache_.kind() != CacheKind::NONE) {
        for (row_ = 0; row_ < plan_->rows.size(); row_++) distances_of(plan_->turns[row_]);
        row_ = 0;
    }
    if (plan_->rows.empty()) return; // all of it is given
    policy_.begin_window({window.chunks(), plan_->chunk_frames, int(window.frame_tokens()), plan_->branches(),
                          int(plan_->is_one_chunk() ? plan_->rows.size() : plan_->steps.size()),
                          int(plan_->rows.size()), plan_->prefix_frames, plan_->video_chunks});
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
    const auto& rows = plan_->rows;
    size_t frame = plan_->prefix_frames;
    for (size_t row = 1; row < rows.size() && frame < rows[0].update.size(); row++)
        if (rows[row].update[frame] && rows[row - 1].update[frame])
            list.push_back(distance(rows[row].timestep[frame], rows[row - 1].timestep[frame]));
    return list;
}

// How far the embeddings moved since each stepping chunk's evaluation before: a chunk's evaluations follow each other
// row by row.
WindowSampler::Distances WindowSampler::distances_of(const std::vector<sampler::ChunkTurn>& turns) {
    Distances list;
    const std::vector<int64_t> now = plan_->timesteps(row_),
                               before = row_ ? plan_->timesteps(row_ - 1) : std::vector<int64_t>();
    for (const sampler::ChunkTurn& turn : turns) {
        if (turn.kind != sampler::ChunkTurn::Kind::STEP) continue;
        list.emplace_back();
        for (int f = turn.chunk * plan_->chunk_frames;
             turn.step > 0 && f < (turn.chunk + 1) * plan_->chunk_frames; f++)
            list.back().push_back(distance(now[f], before[f]));
    }
    return list;
}

std::vector<cache::Plan> WindowSampler::decide(int branch, std::span<const cache::ChunkStep> steps) {
    if (branch > 0 && solver_->skips_reused()) return plans_;
    std::vector<cache::Plan> plans = cache_.kind() == CacheKind::NONE
                                         ? std::vector<cache::Plan>(steps.size())
                                         : policy_.decide(int(row_), branch, steps);
    if (branch == 0) plans_ = plans;
    return plans;
}

std::vector<int> WindowSampler::starting() const {
    std::vector<int> chunks;
    for (const sampler::ChunkTurn& turn : plan_->turns[row_])
        if (turn.kind == sampler::ChunkTurn::Kind::STEP && turn.step == 0) chunks.push_back(turn.chunk);
    return chunks;
}

bool WindowSampler::under_way() const {
    const auto& turns = plan_->turns[row_];
    return std::any_of(turns.begin(), turns.end(), [](const sampler::ChunkTurn& turn) {
        return turn.kind == sampler::ChunkTurn::Kind::STEP && turn.step > 0;
    });
}

int WindowSampler::hold_back() {
    if (plan_->is_one_chunk() || !under_way()) return 0;
    const size_t rows = plan_->rows.size();
    held_ = std::make_unique<const WindowPlan>(held_back(*plan_, row_));
    plan_ = held_.get();
    policy_.extend_window(int(plan_->rows.size()));
    return int(plan_->rows.size() - rows);
}

void WindowSampler::guide(int chunk, Guidance guidance) {
    std::fill(guidance_.begin() + chunk, guidance_.end(), guidance);
}

std::vector<int> WindowSampler::told_otherwise() const {
    std::vector<int> chunks;
    if (plan_->is_one_chunk() || row_ == 0 || under_way()) return chunks; // row 0 passes what is given
    const Guidance& newest = guidance_.back();
    const int finished = this->finished() / plan_->chunk_frames;
    for (int c = 0; c < finished; c++) {
        const auto here = [&](const sampler::ChunkTurn& turn) { return turn.chunk == c; };
        const auto& turns = plan_->turns[row_];
        if (std::any_of(turns.begin(), turns.end(), here)) continue; // is passed anyway
        if (told_[c].text != newest.text || told_[c].negative != newest.negative) chunks.push_back(c);
    }
    return chunks;
}

// One by one: the window has room for as many chunks as a row of the plan has.
void WindowSampler::tell_again(const std::vector<int>& chunks, const at::Tensor& input,
                               const std::vector<int64_t>& timesteps, Cancel cancel) {
    for (int c : chunks) {
        std::vector<wan_dit::ChunkWork> work;
        for (int b = 0; b < plan_->branches(); b++) {
            wan_dit::ChunkWork w;
            w.branch = b;
            w.chunk = c;
            w.output = false;
            w.text = (b ? guidance_.back().negative : guidance_.back().text).get();
            work.push_back(w);
            counts_[c].extra++;
        }
        window_.forward(input, timesteps, {}, work, cancel);
        told_[c] = guidance_.back();
    }
}

at::Tensor WindowSampler::guided() const {
    const at::Tensor &with = window_.velocity(0), &negative = window_.velocity(1);
    const auto scale_of = [](const Guidance& g) { return std::max(1.0, g.scale); };
    const double first = scale_of(guidance_.front());
    const auto same = [&](const Guidance& g) { return scale_of(g) == first; };
    if (std::all_of(guidance_.begin(), guidance_.end(), same)) return negative + first * (with - negative);
    std::vector<float> scales; // of each latent frame
    for (const Guidance& g : guidance_) scales.insert(scales.end(), plan_->chunk_frames, float(scale_of(g)));
    const at::Tensor scale = at::tensor(scales).to(with.device()).view({1, -1, 1, 1});
    return negative + scale * (with - negative);
}

void WindowSampler::count(int chunk, const cache::Plan& plan) {
    sampler::ChunkCount& count = counts_[chunk];
    const int64_t all = plan_->chunk_frames * window_.frame_tokens();
    const int64_t computed = plan.action == cache::Action::WHOLE     ? all
                             : plan.action == cache::Action::PARTIAL ? int64_t(plan.tokens.size())
                                                                     : 0;
    count.turns++;
    (computed == all ? count.whole : computed ? count.partial : count.reused)++;
    count.tokens_computed += computed;
    count.tokens_reused += all - computed;
    if (plan.action != cache::Action::PARTIAL) return;
    partial_[chunk].resize(size_t(all));
    for (const int32_t token : plan.tokens) partial_[chunk][token]++;
}

sampler::TokenMap WindowSampler::token_map(int begin, int end) const {
    const auto [rows, columns] = window_.frame_grid();
    const size_t tokens = size_t(window_.frame_tokens());
    sampler::TokenMap map{end - begin, int(rows), int(columns), {}, {}};
    for (int frame = begin; frame < end; frame++) {
        const int chunk = frame / plan_->chunk_frames;
        const size_t first = size_t(frame - chunk * plan_->chunk_frames) * tokens;
        const sampler::ChunkCount& count = counts_[chunk];
        const std::vector<int32_t>& partial = partial_[chunk];
        for (size_t t = first; t < first + tokens; t++)
            map.computed.push_back(
                sampler::TokenMap::share(count.whole + (partial.empty() ? 0 : partial[t]), count.turns));
        if (!count.turns) continue; // given frames: the policy knows nothing of them, or of no window at all
        const std::span<const float> weights = policy_.weights(0, chunk);
        if (weights.empty()) continue;
        map.motion.resize(size_t(map.frames) * tokens);
        std::copy_n(weights.begin() + ptrdiff_t(first), tokens,
                    map.motion.begin() + ptrdiff_t(size_t(frame - begin) * tokens));
    }
    return map;
}

WindowSampler::RowWork WindowSampler::plan_work(int first, int last, bool observed) {
    const std::vector<sampler::ChunkTurn>& turns = plan_->turns[row_];
    const bool remembers = cache_.kind() != CacheKind::NONE, skips = solver_->skips_reused();
    const Distances distances = remembers ? distances_of(turns) : Distances(turns.size());
    std::vector<cache::ChunkStep> steps;
    for (const sampler::ChunkTurn& turn : turns)
        if (turn.kind == sampler::ChunkTurn::Kind::STEP)
            steps.push_back({turn.chunk, turn.step, distances[steps.size()], turn.sigma, turn.next_sigma});
    RowWork row;
    for (int b = first; b < last; b++) {
        row.plans.push_back(decide(b, steps));
        const std::vector<cache::Plan>& plans = row.plans.back();
        const bool idle = skips && std::all_of(plans.begin(), plans.end(), is_reused);
        size_t step = 0;
        for (const sampler::ChunkTurn& turn : turns) {
            wan_dit::ChunkWork w;
            w.branch = b;
            w.chunk = turn.chunk;
            const Guidance& guidance =
                turn.kind == sampler::ChunkTurn::Kind::STEP ? guidance_[turn.chunk] : guidance_.back();
            w.text = (b ? guidance.negative : guidance.text).get();
            told_[turn.chunk] = guidance;
            if (turn.kind == sampler::ChunkTurn::Kind::STEP) {
                w.plan = &plans[step++];
                count(turn.chunk, *w.plan);
                if (skips && is_reused(*w.plan)) continue; // its velocity is not needed
                w.remember = remembers;
                w.motion = policy_.wants_motion(b, turn.chunk) && !(skips && b > 0);
                w.level = turn.sigma;
            } else {
                if (turn.kind == sampler::ChunkTurn::Kind::PREFIX && idle && row_ > 0)
                    continue; // no chunk attends to it
                counts_[turn.chunk].extra++;
                w.output = observed;
                w.motion = turn.kind == sampler::ChunkTurn::Kind::PREFIX && policy_.wants_prefix_motion() &&
                           !plan_->reference_prefix;
            }
            row.work.push_back(w);
            row.turns.push_back(&turn);
        }
    }
    return row;
}

void WindowSampler::execute(const at::Tensor& input, const std::vector<int64_t>& timesteps,
                            const RowWork& row, Cancel cancel) {
    if (!row.work.empty()) window_.forward(input, timesteps, {}, row.work, cancel);
}

// Passes the motion to the policy and every turn to the observer.
void WindowSampler::report(const RowWork& row, const std::function<void(const sampler::Turn&)>& observe) {
    for (size_t i = 0; i < row.work.size(); i++) {
        const wan_dit::ChunkWork& w = row.work[i];
        const sampler::ChunkTurn& turn = *row.turns[i];
        const bool moved = w.motion && turn.kind == sampler::ChunkTurn::Kind::STEP;
        if (moved) {
            const auto& change = window_.change(i);
            policy_.motion(w.branch, w.chunk, change.tokens, change.has_previous);
        }
        if (observe)
            observe({int(row_), w.branch, turn,
                     window_.velocity(w.branch).narrow(1, w.chunk * plan_->chunk_frames, plan_->chunk_frames),
                     moved ? policy_.weights(w.branch, w.chunk) : std::span<const float>()});
    }
}

void WindowSampler::run_branches(const at::Tensor& input, const std::vector<int64_t>& timesteps, int first,
                                 int last, Cancel cancel, sampler::Timing& timing,
                                 const std::function<void(const sampler::Turn&)>& observe) {
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

void WindowSampler::step(Cancel cancel, const Trace& trace, sampler::Timing& timing,
                         const std::function<void()>& forwarded,
                         const std::function<void(const sampler::Turn&)>& observe) {
    c10::InferenceMode guard;
    const MatrixRow& row = plan_->rows[row_];

    at::Tensor input = latents(); // [C, frames (+ 1), h, w]
    const std::vector<int64_t> timesteps = plan_->timesteps(row_);
    const std::vector<int> again = told_otherwise();
    const bool sees_prefix = plan_->is_one_chunk() ||
                             plan_->turns[row_].front().kind == sampler::ChunkTurn::Kind::PREFIX ||
                             (!again.empty() && again.front() * plan_->chunk_frames < plan_->prefix_frames);
    if (plan_->addnoise_condition > 0 && plan_->prefix_frames > 0 && sees_prefix) {
        // The latents stay clean; both branches see the same noise.
        double n = 0.001 * plan_->addnoise_condition;
        input = input.clone();
        at::Tensor prefix = input.narrow(1, 0, plan_->prefix_frames);
        prefix.mul_(1 - n).add_(prefix_noise_(int(row_)), n);
    }

    if (!again.empty()) {
        const auto start = clock::now();
        std::vector<int64_t> finished = timesteps;
        std::fill(finished.begin() + plan_->prefix_frames, finished.end(), 0);
        tell_again(again, input, finished, cancel);
        timing.transformer += since(start);
    }
    if (trace) trace("steps.timesteps", at::tensor(timesteps));
    // A whole window takes its branches one after the other: its workspace is the biggest thing in memory. Chunks take
    // them together, so that their few rows fill the matrix products, and so do ranks, each its own.
    const int branches = plan_->branches();
    if (plan_->is_one_chunk() && !window_.apart())
        for (int b = 0; b < branches; b++) {
            run_branches(input, timesteps, b, b + 1, cancel, timing, observe);
            forwarded();
        }
    else {
        run_branches(input, timesteps, 0, branches, cancel, timing, observe);
        for (int b = 0; b < branches; b++) forwarded();
    }
    auto start = clock::now();
    // A device: the one wait of a row, so that times are told of what was done and not of what was asked.
    window_.wait();
    timing.transformer += since(start);
    start = clock::now();
    at::Tensor velocity = window_.velocity(0);
    if (trace) trace("steps.v_cond", velocity);
    if (branches == 2) {
        if (trace) trace("steps.v_uncond", window_.velocity(1));
        velocity = guided();
    }
    solver_->step(row, velocity, plan_->turns[row_], plans_);
    if (trace) trace("steps.latents", latents());
    row_++;
    timing.schedule += since(start);
}

int WindowSampler::finished() const {
    if (done()) return plan_->frames;
    // A frame is finished when no later row steps it.
    int count = plan_->prefix_frames;
    auto pending = [&](int frame) {
        for (size_t r = row_; r < plan_->rows.size(); r++)
            if (plan_->rows[r].update[frame]) return true;
        return false;
    };
    while (count < plan_->frames && !pending(count)) count++;
    return count;
}

} // namespace mc::skyreels_v2
