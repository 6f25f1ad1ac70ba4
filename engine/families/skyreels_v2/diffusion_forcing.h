// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// The diffusion-forcing sampler of one window (docs/algorithms.md#sampler): a row of the timestep matrix at a time,
// each chunk at its own noise level. What of a chunk goes through the layers is the cache policy's to decide.
#include <ATen/core/Tensor.h>
#include <functional>
#include <map>
#include <memory>
#include <vector>

#include "engine/cache/policy.h"
#include "engine/families/skyreels_v2/solver.h"
#include "engine/families/skyreels_v2/window_plan.h"
#include "engine/networks/wan_dit/transformer.h"
#include "engine/sampler/timing.h"
#include "engine/sampler/token_map.h"
#include "engine/sampler/turn.h"

namespace mc::skyreels_v2 {

// What a chunk is told to show.
struct Guidance {
    std::shared_ptr<const wan_dit::TextContext> text;
    std::shared_ptr<const wan_dit::TextContext> negative; // not read where the plan has one branch
    double scale; // 1 or less, where there are two branches: the prompt's alone counts
};

class WindowSampler {
  public:
    // latents: [C, frames (+ 1), h, w] float32, prefix and end frame in place, noise elsewhere; on the
    // transformer's device. prefix_noise(row): [C, prefix, h, w], asked for at most once per row when the prefix is
    // noised. guidance: of every chunk, until guide(). Everything else that is given must outlive the sampler.
    WindowSampler(wan_dit::Window& window, Guidance guidance, const WindowPlan& plan, cache::Policy& policy,
                  const cache::AnySettings& cache, at::Tensor latents,
                  std::function<at::Tensor(int row)> prefix_noise);
    bool done() const { return row_ == plan_->rows.size(); }
    // Chunks whose first step is in the next row.
    std::vector<int> starting() const;
    // Whether a chunk that starts in the next row does so while one before it is under way.
    bool under_way() const;
    // Where chunks are under way: those that have not started wait for them. Returns by how many rows the window has
    // become longer; 0 where it is one chunk.
    int hold_back();
    // A chunk and those after it. With keys and values, where none is under way, those before it are passed once more
    // with the new text: a chunk sees one text in all of them, as in training.
    void guide(int chunk, Guidance guidance);
    // Takes the next row. `forwarded` is called for each branch that was run.
    void step(Cancel cancel, const Trace& trace, sampler::Timing& timing,
              const std::function<void()>& forwarded,
              const std::function<void(const sampler::Turn&)>& observe = {});
    // Leading frames that will not change any more, prefix included, the end frame never.
    int finished() const;
    const at::Tensor& latents() const { return solver_->latents(); }  // [C, frames (+ 1), h, w]
    const std::vector<sampler::ChunkCount>& counts() const { return counts_; } // of the plan's chunks
    // Of latent frames [begin, end), their turns so far.
    sampler::TokenMap token_map(int begin, int end) const;
    // The distances that a chunk's evaluations will see, all known before the first row: [steps - 1].
    std::vector<cache::FrameDistance> schedule_distances();

  private:
    using Distances = std::vector<std::vector<cache::FrameDistance>>; // of the row's steps, one per frame
    Distances distances_of(const std::vector<sampler::ChunkTurn>& turns);
    cache::FrameDistance distance(int64_t now, int64_t before);
    // What branches [first, last) do in this row.
    struct RowWork {
        std::vector<std::vector<cache::Plan>> plans; // of each branch, of the turns that take a step
        std::vector<wan_dit::ChunkWork> work;        // points into the plans
        std::vector<const sampler::ChunkTurn*> turns; // of each piece of work
    };
    RowWork plan_work(int first, int last, bool observed);
    void execute(const at::Tensor& input, const std::vector<int64_t>& timesteps, const RowWork& row,
                 Cancel cancel);
    void report(const RowWork& row, const std::function<void(const sampler::Turn&)>& observe);
    void run_branches(const at::Tensor& input, const std::vector<int64_t>& timesteps, int first, int last,
                      Cancel cancel, sampler::Timing& timing,
                      const std::function<void(const sampler::Turn&)>& observe);
    void count(int chunk, const cache::Plan& plan);
    at::Tensor guided() const; // velocity of both branches
    std::vector<int> told_otherwise() const; // finished chunks whose keys and values are of an earlier text
    void tell_again(const std::vector<int>& chunks, const at::Tensor& input, const std::vector<int64_t>& timesteps,
                    Cancel cancel);
    std::vector<cache::Plan> decide(int branch, std::span<const cache::ChunkStep> steps);

    wan_dit::Window& window_;
    std::vector<Guidance> guidance_; // [chunk]; the last one's is the newest
    std::vector<Guidance> told_;     // [chunk]: of its keys and values
    const WindowPlan* plan_;
    std::unique_ptr<const WindowPlan> held_; // the plan, once it is not the one that was given
    cache::Policy& policy_;
    const cache::AnySettings& cache_;
    std::function<at::Tensor(int row)> prefix_noise_;
    size_t row_ = 0;
    std::unique_ptr<Solver> solver_;
    // Of the row's first branch, which the other follows where the solver skips what is reused.
    std::vector<cache::Plan> plans_;
    std::map<std::pair<int64_t, int64_t>, cache::FrameDistance> known_; // by (now, before)
    std::vector<sampler::ChunkCount> counts_;
    std::vector<std::vector<int32_t>> partial_; // [chunk][token]: partial turns that computed it
};

} // namespace mc::skyreels_v2
