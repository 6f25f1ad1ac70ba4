// SPDX-License-Identifier: LGPL-2.1-or-later
#include "tools/calibrate/learning.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "engine/cache/relative_distance.h"
#include "engine/families/skyreels_v2/inputs.h"
#include "engine/families/skyreels_v2/settings.h"
#include "engine/families/skyreels_v2/time_grid.h"
#include "engine/families/skyreels_v2/unipc.h"
#include "tools/calibrate/report.h"

namespace mc::calibrate {
namespace {

constexpr size_t RECORDED = 3; // videos of which the motion is kept: a few say enough

// MotionCache that defers nothing, run because it measures motion. The floor keeps still tokens due too.
constexpr double FLOOR = 0.5;
cache::MotionCacheSettings compute_all() {
    cache::MotionCacheSettings s;
    s.threshold = 1e-30;
    s.warmup = s.coarse_updates = 0;
    s.weights = CacheWeights::MAX_RESCALE;
    s.weight_floor = FLOOR;
    s.vote.reset();
    s.min_ratio = 0;
    return s;
}

std::vector<cache::ScheduledStep> scheduled_steps(const skyreels_v2::Model& model,
                                                  const skyreels_v2::VideoSettings& s, skyreels_v2::Grid kind) {
    const skyreels_v2::TimeGrid grid = skyreels_v2::time_grid(s.steps, s.shift, kind);
    // Distances do not depend on the picture: the smallest window knows them.
    const auto& patch = model.transformer_config.patch;
    wan_dit::Window window(*model.transformer, {s.causal_block_size, int(2 * patch[1]), int(2 * patch[2]),
                                                s.causal_block_size, Attention::KV, s.fps});
    window.prepare(grid.timesteps);
    std::vector<cache::ScheduledStep> steps(grid.timesteps.size());
    for (size_t i = 0; i < steps.size(); i++) {
        steps[i].sigma = grid.sigmas[i];
        if (i == 0) continue;
        const auto d = window.distance(true, grid.timesteps[i], grid.timesteps[i - 1]);
        steps[i].distance.assign(size_t(s.causal_block_size), {d.difference, d.magnitude});
    }
    return steps;
}

// Follows the turns of one video.
class Watcher {
  public:
    Watcher(double guidance, size_t steps) : guidance_(guidance), sums_(steps), counts_(steps) {}
    void see(int window, const sampler::Turn& turn) {
        if (turn.turn.kind != sampler::ChunkTurn::Kind::STEP) return;
        Chunk& chunk = chunks_[{window, turn.turn.chunk}];
        if (turn.branch == 0) {
            record_motion(chunk.motion, turn);
            chunk.with_prompt = turn.velocity.clone();
            if (guidance_ <= 1) measure(chunk, chunk.with_prompt, turn.turn);
        } else {
            measure(chunk, turn.velocity + guidance_ * (chunk.with_prompt - turn.velocity), turn.turn);
        }
    }
    void add_to(std::vector<double>& sums, std::vector<double>& counts, std::vector<ChunkMotion>& motion) {
        for (size_t i = 0; i < sums_.size(); i++) sums[i] += sums_[i], counts[i] += counts_[i];
        for (auto& [place, chunk] : chunks_) {
            // Chunks that are given take no turn, so the first one here is the first that is generated.
            chunk.motion.chunk = place.second - chunks_.lower_bound({place.first, 0})->first.second;
            motion.push_back(std::move(chunk.motion));
        }
    }

  private:
    struct Chunk {
        at::Tensor with_prompt,
            before; // velocities: of the first branch in this step, guided in the step before
        ChunkMotion motion;
    };
    void record_motion(ChunkMotion& motion, const sampler::Turn& turn) {
        motion.change.resize(sums_.size());
        std::vector<float>& change = motion.change[size_t(turn.turn.step)];
        for (float weight : turn.weights) change.push_back((weight - float(FLOOR)) / float(1 - FLOOR));
        for (float& c : change) c = std::max(c, 0.0f);
    }
    void measure(Chunk& chunk, at::Tensor velocity, const sampler::ChunkTurn& turn) {
        if (chunk.before.defined()) {
            const double moved = (velocity - chunk.before).abs().mean().item<double>();
            const double size = velocity.abs().mean().item<double>();
            sums_[size_t(turn.step)] += turn.sigma * moved / (size + 1e-12);
            counts_[size_t(turn.step)] += 1;
        }
        chunk.before = velocity.clone();
    }
    const double guidance_;
    std::map<std::pair<int, int>, Chunk> chunks_; // by window and chunk
    std::vector<double> sums_, counts_;           // [steps]
};

} // namespace

session::Request request_of(const session::Request& request, const std::vector<std::string>& prompts,
                            size_t i) {
    session::Request r = request;
    r.prompt = prompts[i];
    r.seed = request.seed.value_or(0) + int64_t(i);
    return r;
}

std::vector<Point> Lesson::points() const {
    std::vector<Point> list;
    for (size_t i = 1; i < change.size(); i++) {
        cache::RelativeDistance moved;
        moved.add(recording.steps[i].distance);
        list.push_back({moved.value(1e-8), change[i]});
    }
    return list;
}

cache::Path Lesson::path(double change_power, double noise_power) const {
    const std::vector<cache::ScheduledStep>& steps = recording.steps;
    std::vector<double> rates; // of the way to each step but the first
    for (size_t i = 1; i < steps.size(); i++)
        rates.push_back(change[i] / steps[i].sigma / (steps[i - 1].sigma - steps[i].sigma));
    const double highest = rates.empty() ? 0 : *std::max_element(rates.begin(), rates.end());
    rates.push_back(rates.empty() ? 1
                                  : rates.back()); // from the last step to the picture nothing is measured
    cache::Path path{{1}, {0}};
    for (size_t i = 0; i < rates.size(); i++) {
        const double from = path.sigma.back(), to = i + 1 < rates.size() ? steps[i + 1].sigma : 0;
        const double rate = highest > 0 ? std::max(rates[i] / highest, 1e-3) : 1;
        path.sigma.push_back(to);
        path.length.push_back(path.length.back() + std::pow(rate, change_power) *
                                                       std::pow((from + to) / 2, noise_power) * (from - to));
    }
    const double whole = path.length.back();
    for (double& length : path.length) length /= whole;
    return path;
}

Lesson learn(const std::shared_ptr<const skyreels_v2::Model>& model, const session::Request& request,
             const std::vector<std::string>& prompts) {
    const skyreels_v2::VideoSettings settings =
        skyreels_v2::complete(request_of(request, prompts, 0), *model);
    Lesson lesson;
    lesson.recording.steps = scheduled_steps(*model, settings, skyreels_v2::inputs_of(request).grid);
    lesson.recording.chunk_frames = settings.causal_block_size;
    lesson.window_chunks = settings.length.windows.front() / settings.causal_block_size;
    const size_t steps = lesson.recording.steps.size();
    std::vector<double> counts(steps);
    lesson.change.resize(steps);
    for (size_t i = 0; i < prompts.size(); i++) {
        session::Request r = request_of(request, prompts, i);
        r.cache_settings = compute_all();
        Watcher watcher(settings.guidance_scale, steps);
        r.turns = [&](int window, const sampler::Turn& turn) { watcher.see(window, turn); };
        lesson.full.push_back(bench::make_video(model, std::move(r)));
        std::vector<ChunkMotion> motion;
        watcher.add_to(lesson.change, counts, motion);
        if (i < RECORDED)
            for (ChunkMotion& m : motion) lesson.recording.chunks.push_back(std::move(m));
        progress("Learning, video %zu of %zu: %.1f s of denoising, \"%s\"", i + 1, prompts.size(),
                 lesson.full.back().denoising(), prompts[i].c_str());
    }
    for (size_t i = 0; i < steps; i++)
        if (counts[i] > 0) lesson.change[i] /= counts[i];
    for (const ChunkMotion& m : lesson.recording.chunks)
        for (const auto& change : m.change)
            if (!change.empty())
                lesson.recording.frame_tokens = int(change.size()) / lesson.recording.chunk_frames;
    return lesson;
}

} // namespace mc::calibrate
