// SPDX-License-Identifier: LGPL-2.1-or-later
// MotionCache: tokens that move are computed again sooner than still ones (docs/algorithms.md#motioncache).
//
//     step < warmup    the whole chunk is computed
//     step = warmup    once more, and the sums start at 0
//     later            each token's sum grows by distance * weight; tokens that reach the threshold are
//                      computed: along a path those that would pass it before they are asked again
//
// Weights are 1 in the coarse phase. It ends with the `coarse_updates`-th step past warm-up that computed
// something (0: with step `warmup`); from the end of that step on they come from the motion, renewed after
// every step.
#include <algorithm>
#include <cmath>

#include "engine/cache/motion_weights.h"
#include "engine/cache/policies.h"
#include "engine/cache/relative_distance.h"
#include "engine/cache/vote.h"
#include "engine/error.h"

namespace mc::cache {
namespace {

constexpr double EPSILON = 1e-8; // of the reference's quotients

struct ChunkState {
    std::vector<float> sums, weights; // [token]
    int coarse_updates = 0;
    bool fine = false; // motion weights are in use from the next step on
    double sigma = 1;  // of the evaluation before
};

class MotionCache final : public WindowPolicy {
  public:
    explicit MotionCache(const MotionCacheSettings& settings) : settings_(settings) {}

    bool wants_motion(int branch, int chunk) const override { return chunks_[state_of(branch, chunk)].fine; }
    bool wants_prefix_motion() const override { return true; }
    void motion(int branch, int chunk, std::span<const float> change, bool has_previous) override {
        check_change(change);
        // Where a previous frame exists it is used, also by the first chunk of a window.
        const FirstFrame first = has_previous ? FirstFrame::COMPARED
                                 : chunk == 0 ? FirstFrame::SECOND
                                              : FirstFrame::ONES;
        chunks_[state_of(branch, chunk)].weights =
            motion_weights(change, shape_.chunk_frames, first, settings_.weights, settings_.weight_floor);
    }
    std::span<const float> weights(int branch, int chunk) const override {
        const ChunkState& state = chunks_[state_of(branch, chunk)];
        return state.fine ? std::span<const float>(state.weights) : std::span<const float>();
    }

  private:
    void forget() override {
        ChunkState state;
        state.sums.assign(chunk_tokens(), 0);
        state.weights.assign(chunk_tokens(), 1);
        chunks_.assign(states(), state);
    }

    std::vector<Plan> plan(int row, int branch, std::span<const ChunkStep> chunks) override {
        std::vector<Plan> plans;
        for (const ChunkStep& chunk : chunks) {
            ChunkState& state = chunks_[state_of(branch, chunk.chunk)];
            Decision decision = decision_of(row, branch, chunk);
            if (chunk.step > settings_.warmup)
                plans.push_back(plan_tokens(chunk, state, decision));
            else
                plans.push_back(plan_warmup(chunk, state, decision));
            state.sigma = chunk.sigma;
        }
        return plans;
    }

    Plan plan_warmup(const ChunkStep& chunk, ChunkState& state, Decision& decision) {
        const bool last = chunk.step == settings_.warmup;
        if (last) enter_fine_phase(state);
        decision.kind = last ? Decision::Kind::FIRST_AFTER_WARMUP : Decision::Kind::WARMUP;
        decision.forced = true;
        decision.fine = state.fine;
        report(decision);
        return {};
    }

    Plan plan_tokens(const ChunkStep& chunk, ChunkState& state, Decision& decision) {
        decision.weighted = state.fine;
        const std::vector<float> weights = state.weights;
        const std::vector<float> distance = token_distance(chunk, state, decision.distance);
        const double threshold = threshold_of(chunk.chunk);
        // With the length of the step that follows. Equal lengths that fill a threshold
        // exactly are not to be divided by their rounding.
        const double ahead = settings_.path.empty() ? 0 : length(chunk.sigma, chunk.next_sigma, chunk.sigma);
        const double reach = threshold * (settings_.path.empty() ? 1 : 1 + 1e-5);
        std::vector<uint8_t> due(state.sums.size());
        for (size_t t = 0; t < due.size(); t++) {
            state.sums[t] += distance[t] * weights[t];
            due[t] = !(double(state.sums[t]) + ahead * double(weights[t]) < reach); // also when it is NaN
        }
        const std::vector<float> sums = state.sums;
        const std::vector<uint8_t> voted =
            settings_.vote ? vote(due, shape_.chunk_frames, *settings_.vote) : due;
        std::vector<uint8_t> computed = voted;
        const size_t wanted = size_t(std::count(voted.begin(), voted.end(), 1));
        const bool suppressed = wanted > 0 && double(wanted) / double(voted.size()) < settings_.min_ratio;
        if (suppressed) std::fill(computed.begin(), computed.end(), 0);

        Plan plan = plan_of(computed, decision);
        if (suppressed) decision.kind = Decision::Kind::SUPPRESSED;
        for (size_t t = 0; t < computed.size(); t++)
            if (computed[t]) state.sums[t] = 0;
        if (plan.action != Action::REUSED && !state.fine) {
            ++state.coarse_updates;
            enter_fine_phase(state);
        }

        decision.weights = weights;
        decision.token_distance = distance;
        decision.accumulated_before = sums;
        decision.accumulated_after = state.sums;
        decision.due = due;
        decision.voted = voted;
        decision.computed = computed;
        decision.coarse_updates = state.coarse_updates;
        decision.fine = state.fine;
        report(decision);
        return plan;
    }

    // One value per token; `mean` over the frames.
    std::vector<float> token_distance(const ChunkStep& chunk, const ChunkState& state, double& mean) const {
        if (!settings_.path.empty()) {
            mean = length(state.sigma, chunk.sigma, chunk.sigma);
            return std::vector<float>(chunk_tokens(), float(mean));
        }
        const std::span<const FrameDistance> frames = chunk.distance;
        if (frames.size() != size_t(shape_.chunk_frames)) fault("distances of something else than frames");
        const double noise = std::pow(chunk.sigma, settings_.noise_power);
        std::vector<float> distance;
        mean = 0;
        for (size_t f = 0; f < frames.size(); f++) {
            RelativeDistance moved;
            moved.add(settings_.distance == CacheDistance::GLOBAL ? frames : frames.subspan(f, 1));
            double rescaled = noise * settings_.polynomial(moved.value(EPSILON));
            if (!std::isfinite(rescaled)) rescaled = std::numeric_limits<double>::infinity(); // so: compute
            mean += rescaled / double(frames.size());
            distance.insert(distance.end(), size_t(shape_.frame_tokens), float(rescaled));
        }
        return distance;
    }

    double threshold_of(int chunk) const {
        const double frame = std::max(0, chunk * shape_.chunk_frames - shape_.given); // of those generated
        const bool first = frame < settings_.first_frames;
        const int chunks = shape_.video_chunks ? shape_.video_chunks : shape_.chunks;
        const bool longer = settings_.chunks > 0 && chunks > settings_.chunks;
        return settings_.threshold * (first ? settings_.first_share : 1) *
               (longer ? std::sqrt(double(settings_.chunks) / chunks) : 1);
    }

    // Of the path from one noise level to a lower one, as it counts at `sigma`.
    double length(double from, double to, double sigma) const {
        return std::pow(sigma, settings_.noise_power) * (settings_.path.at(to) - settings_.path.at(from));
    }

    void enter_fine_phase(ChunkState& state) const {
        state.fine =
            settings_.weights != CacheWeights::NONE && state.coarse_updates >= settings_.coarse_updates;
    }

    const MotionCacheSettings settings_;
    std::vector<ChunkState> chunks_; // [branch, chunk]
};

} // namespace

void read(const CacheFields& request, MotionCacheSettings& settings) {
    read_common(request, settings);
    if (request.warmup) settings.warmup = *request.warmup;
    if (request.coarse_updates) settings.coarse_updates = *request.coarse_updates;
    if (request.weights) settings.weights = *request.weights;
    if (request.weight_floor) settings.weight_floor = *request.weight_floor;
    if (request.distance) settings.distance = *request.distance;
    if (request.vote) settings.vote = vote_of(*request.vote);
    if (request.min_ratio) settings.min_ratio = *request.min_ratio;
    if (request.first_share) settings.first_share = *request.first_share;
    if (request.noise_power) settings.noise_power = *request.noise_power;
    if (settings.weights != CacheWeights::MAX_RESCALE && request.weight_floor)
        throw Error(MC_ERROR_SETTINGS,
                    "cache-weight-floor is the least weight of cache-weights=max-rescale and means nothing "
                    "with another: drop one of them.");
}

void check(const MotionCacheSettings& settings) {
    check_common(settings);
    check_count("cache-warmup", settings.warmup, "4");
    check_count("cache-coarse-updates", settings.coarse_updates, "6");
    check_share("cache-weight-floor", settings.weight_floor, "0.6");
    if (settings.vote) check_share("cache-vote", *settings.vote, "0.5");
    check_share("cache-min-ratio", settings.min_ratio, "0.4");
    if (!(settings.first_share >= 0 && settings.first_share <= 1))
        refuse_value("cache-first-share", settings.first_share, "lie between 0 and 1; 1 switches it off");
    if (!(settings.noise_power >= 0 && settings.noise_power <= 8))
        refuse_value("cache-noise-power", settings.noise_power, "lie between 0 and 8; 0 switches it off");
    if (settings.first_frames < 1)
        refuse_value("The cache's number of first frames", settings.first_frames, "be 1 or more");
    check_count("The cache's number of chunks", settings.chunks, "0");
    if (!is_path(settings.path))
        throw Error(MC_ERROR_SETTINGS,
                    "The cache's path must go from sigma 1 to sigma 0 with lengths that rise from 0 to 1; "
                    "calibrate the model again.");
}

std::unique_ptr<Policy> make(const MotionCacheSettings& settings) {
    return std::make_unique<MotionCache>(settings);
}

} // namespace mc::cache
