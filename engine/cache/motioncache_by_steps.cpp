// SPDX-License-Identifier: LGPL-2.1-or-later
// MotionCache by steps (docs/algorithms.md#motioncache-by-steps).
//
//     step < warmup                  the whole chunk is computed
//     step < warmup + coarse_steps   as FlowCache: one sum for the chunk
//     later                          each token's sum grows by distance * weight; tokens whose sum reaches the
//                                    threshold are computed, and more where few may be reused
//
// In the first and in the last row of a video everything is computed, and nothing is measured.
#include "engine/cache/motioncache_by_steps.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "engine/cache/motion_weights.h"
#include "engine/cache/policies.h"
#include "engine/cache/relative_distance.h"
#include "engine/cache/reuse_share.h"
#include "engine/cache/vote.h"

namespace mc::cache {
namespace {

constexpr double EPSILON = 1e-8; // of the reference's quotients

struct ChunkState {
    double sum = 0;                   // of the chunk
    std::vector<float> sums, weights; // [token]
    std::vector<uint8_t> computed;    // [token], as decided last; empty: all
    int steps = 0;
};

class MotionCacheBySteps final : public WindowPolicy {
  public:
    explicit MotionCacheBySteps(const MotionCacheByStepsSettings& settings) : settings_(settings) {}

    bool wants_token_distances(int) const override { return settings_.distance == CacheDistance::TOKEN; }
    bool wants_motion(int branch, int chunk) const override {
        const auto at = chunks_.find(state_of(branch, chunk));
        return at != chunks_.end() && (!settings_.weights_once || at->second.steps == 1);
    }
    // The first frame of the first chunk, which follows none, weighs 1.
    void motion(int branch, int chunk, std::span<const float> change, bool has_previous) override {
        check_change(change);
        state(branch, chunk).weights = range_weights(change, shape_.chunk_frames, has_previous, settings_.weight_floor,
                                                     settings_.weight_power);
    }
    std::span<const float> weights(int branch, int chunk) const override {
        const auto at = chunks_.find(state_of(branch, chunk));
        return at == chunks_.end() ? std::span<const float>() : at->second.weights;
    }
    void finished(int chunk) override {
        for (int branch = 0; branch < shape_.branches; branch++) chunks_.erase(state_of(branch, chunk));
    }

  private:
    void forget() override { chunks_.clear(); }

    ChunkState& state(int branch, int chunk) {
        const auto [at, fresh] = chunks_.try_emplace(state_of(branch, chunk));
        if (fresh) {
            at->second.sums.assign(chunk_tokens(), 0);
            at->second.weights.assign(chunk_tokens(), 1);
        }
        return at->second;
    }

    std::vector<Plan> plan(int row, int branch, std::span<const ChunkStep> chunks) override {
        const bool whole = settings_.whole_when_chunk_starts && any_starts(chunks);
        std::vector<Plan> plans;
        for (const ChunkStep& chunk : chunks) {
            ChunkState& state = this->state(branch, chunk.chunk);
            Decision decision = decision_of(row, branch, chunk);
            if (is_end(row))
                plans.push_back(plan_end(state, chunk, decision));
            else if (whole || chunk.step == 0 || chunk.step < settings_.warmup)
                plans.push_back(plan_whole(state, chunk, decision));
            else if (chunk.step < settings_.warmup + settings_.coarse_steps)
                plans.push_back(plan_chunk(state, chunk, decision));
            else
                plans.push_back(plan_tokens(state, chunk, decision));
            state.steps = chunk.step + 1;
        }
        return plans;
    }

    Plan plan_end(ChunkState& state, const ChunkStep& chunk, Decision& decision) {
        decision.forced = true;
        const bool token_phase = chunk.step >= settings_.warmup + settings_.coarse_steps;
        const bool stale = settings_.stale_in_last_row && chunk.step > 0 && token_phase &&
                           std::count(state.computed.begin(), state.computed.end(), 0) > 0;
        if (!stale) state.computed.clear();
        return reported(state, decision);
    }

    Plan plan_whole(ChunkState& state, const ChunkStep& chunk, Decision& decision) {
        decision.forced = true;
        if (chunk.step < settings_.warmup) decision.kind = Decision::Kind::WARMUP;
        begin_anew(state);
        report(decision);
        return {};
    }

    Plan plan_chunk(ChunkState& state, const ChunkStep& chunk, Decision& decision) {
        decision.distance = distance_of(chunk);
        const double sum = state.sum + decision.distance;
        decision.accumulated = sum;
        const bool reuse = sum < settings_.threshold; // not when it is NaN
        begin_anew(state);
        if (reuse) state.sum = sum;
        if (reuse) decision.kind = Decision::Kind::REUSED;
        report(decision);
        return {reuse ? Action::REUSED : Action::WHOLE, {}};
    }

    Plan plan_tokens(ChunkState& state, const ChunkStep& chunk, Decision& decision) {
        decision.weighted = decision.fine = true;
        const std::vector<float> weights = state.weights;
        const std::vector<float> distance = token_distance(chunk, decision.distance);
        state.sum = 0;
        for (size_t t = 0; t < distance.size(); t++) state.sums[t] += distance[t] * weights[t];
        const std::vector<float> sums = state.sums;
        // Sums that are NaN are due.
        std::vector<uint8_t> due(sums.size());
        const float threshold = float(settings_.token_threshold);
        for (size_t t = 0; t < due.size(); t++) due[t] = !(sums[t] < threshold);
        limit_reuse(sums, share(chunk.step), due);
        for (size_t t = 0; t < due.size(); t++)
            if (due[t]) state.sums[t] = 0;
        state.computed = due;
        if (settings_.vote) {
            const std::vector<uint8_t> voted = vote(due, shape_.chunk_frames, *settings_.vote);
            for (size_t t = 0; t < due.size(); t++) state.computed[t] |= voted[t];
        }

        decision.weights = weights;
        decision.token_distance = distance;
        decision.accumulated_before = sums;
        decision.accumulated_after = state.sums;
        decision.due = due;
        decision.voted = decision.computed = state.computed;
        return reported(state, decision);
    }

    // The plan of what is to be computed of the chunk.
    Plan reported(const ChunkState& state, Decision& decision) const {
        const Plan plan = plan_of(state.computed, decision);
        decision.computed = state.computed;
        report(decision);
        return plan;
    }

    static void begin_anew(ChunkState& state) {
        state.sum = 0;
        std::fill(state.sums.begin(), state.sums.end(), 0.f);
        state.computed.clear();
    }

    double distance_of(const ChunkStep& chunk) const {
        RelativeDistance moved;
        moved.add(chunk.distance);
        const double distance = settings_.polynomial(moved.value(EPSILON));
        return std::isfinite(distance) ? distance : std::numeric_limits<double>::infinity(); // so: compute
    }

    // One value per token.
    std::vector<float> token_distance(const ChunkStep& chunk, double& chunk_distance) const {
        chunk_distance = distance_of(chunk);
        if (settings_.distance != CacheDistance::TOKEN || chunk.distance.size() != chunk_tokens())
            return std::vector<float>(chunk_tokens(), float(chunk_distance));
        std::vector<float> distance;
        for (size_t t = 0; t < chunk_tokens(); t++)
            distance.push_back(float(distance_of({chunk.chunk, chunk.step, chunk.distance.subspan(t, 1)})));
        return distance;
    }

    double share(int step) const {
        if (!settings_.first_reuse) return settings_.max_reuse;
        const int begin = settings_.warmup + settings_.coarse_steps;
        const int end = settings_.share_by_rows ? shape_.rows : shape_.steps - 1;
        const double way = end > begin ? std::clamp(double(step - begin) / (end - begin), 0.0, 1.0) : 1;
        return *settings_.first_reuse + (settings_.max_reuse - *settings_.first_reuse) * way;
    }

    const MotionCacheByStepsSettings settings_;
    std::map<size_t, ChunkState> chunks_; // by branch and chunk
};

} // namespace

void read(const CacheFields& request, MotionCacheByStepsSettings& settings) {
    read_common(request, settings);
    if (request.threshold) settings.token_threshold = *request.threshold;
    if (request.warmup) settings.warmup = *request.warmup;
    if (request.weight_floor) settings.weight_floor = *request.weight_floor;
    if (request.distance) settings.distance = *request.distance;
    if (request.vote) settings.vote = vote_of(*request.vote);
}

void check(const MotionCacheByStepsSettings& settings) {
    check_common(settings);
    if (!(settings.token_threshold > 0) || !std::isfinite(settings.token_threshold))
        refuse_value("cache-token-threshold", settings.token_threshold, "be a number above 0; 0.0065 is usual");
    check_count("cache-warmup", settings.warmup, "5");
    check_count("cache-coarse-updates (the number of steps that decide about a chunk as a whole)",
                settings.coarse_steps, "20");
    check_share("cache-weight-floor", settings.weight_floor, "0.6");
    if (!(settings.weight_power > 0) || !std::isfinite(settings.weight_power))
        refuse_value("The power of the cache's weights", settings.weight_power, "be a number above 0; 1 is usual");
    if (settings.vote) check_share("cache-vote", *settings.vote, "0.5");
    check_share("The cache's largest share of reused tokens", settings.max_reuse, "1");
    if (settings.first_reuse) check_share("The cache's first share of reused tokens", *settings.first_reuse, "1");
}

std::unique_ptr<Policy> make(const MotionCacheByStepsSettings& settings) {
    return std::make_unique<MotionCacheBySteps>(settings);
}

} // namespace mc::cache
