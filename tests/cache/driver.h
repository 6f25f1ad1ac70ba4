// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once
// Walks a policy through a window as a sampler does, with distances that a test writes down, and records what
// it decided.
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "engine/cache/policy.h"

namespace mc::test {

using namespace mc::cache;

// Of each policy, at its defaults.
template <size_t... I>
std::vector<AnySettings> all_policies(std::index_sequence<I...>) {
    return {AnySettings(std::variant_alternative_t<I, AnyPolicy>{})...};
}
inline std::vector<AnySettings> all_policies() {
    return all_policies(std::make_index_sequence<std::variant_size_v<AnyPolicy>>());
}

// A copy of a decision that outlives the call.
struct Recorded {
    int row, branch, chunk, step;
    Decision::Kind kind;
    bool forced, weighted, fine;
    double distance, accumulated;
    std::vector<float> weights, token_distance, before, after;
    std::vector<uint8_t> due, voted, computed;
    int coarse_updates;
};

inline Recorded recorded(const Decision& d) {
    const auto copy = [](auto span) { return std::vector(span.begin(), span.end()); };
    return {d.row,
            d.branch,
            d.chunk,
            d.step,
            d.kind,
            d.forced,
            d.weighted,
            d.fine,
            d.distance,
            d.accumulated,
            copy(d.weights),
            copy(d.token_distance),
            copy(d.accumulated_before),
            copy(d.accumulated_after),
            copy(d.due),
            copy(d.voted),
            copy(d.computed),
            d.coarse_updates};
}

// A letter per decision: w warm-up, 1 first after it (both whole), W whole, p partial, . reused,
// - suppressed (reused).
inline char letter(Decision::Kind kind) {
    return "w1Wp.-"[int(kind)];
}

// Frames that all moved by `distance`; magnitude 1, so that the relative distance is the same number.
inline std::vector<FrameDistance> moved(double distance, int frames) {
    return std::vector<FrameDistance>(size_t(frames), FrameDistance{distance, 1});
}

class Driver {
  public:
    Driver(const AnySettings& settings, const WindowShape& shape)
        : shape(shape), policy(make_policy(settings)) {
        policy->observe([this](const Decision& d) { decisions.push_back(recorded(d)); });
        policy->begin_window(shape);
    }
    // One chunk takes its next step in the next row, in one branch. `frames` unused at its first.
    const Plan& step(const std::vector<FrameDistance>& frames, int branch = 0, int chunk = 0,
                     double sigma = 1) {
        int& at = steps_[{branch, chunk}];
        const ChunkStep one{
            chunk, at, at ? std::span<const FrameDistance>(frames) : std::span<const FrameDistance>(), sigma};
        plans.push_back(policy->decide(at, branch, {&one, 1}).front());
        ++at;
        return plans.back();
    }
    const Plan& step(double distance, int branch = 0, int chunk = 0, double sigma = 1) {
        return step(moved(distance, shape.chunk_frames), branch, chunk, sigma);
    }
    void begin_window() {
        policy->begin_window(shape);
        steps_.clear();
        decisions.clear();
    }
    std::string kinds() const {
        std::string text;
        for (const Recorded& d : decisions) text += letter(d.kind);
        return text;
    }

    WindowShape shape;
    std::unique_ptr<Policy> policy;
    std::vector<Recorded> decisions;
    std::vector<Plan> plans;

  private:
    std::map<std::pair<int, int>, int> steps_;
};

template <class T>
std::string joined(const std::vector<T>& values) {
    std::string text;
    for (const T& value : values) text += (text.empty() ? "" : " ") + std::to_string(value);
    return text;
}

} // namespace mc::test
